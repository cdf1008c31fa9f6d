from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.file_errors import FileError
from streams.settings import Settings
from streams.settings_load import OWNED_PROPERTIES, SettingsError, load, variable_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"


def test_every_setting_is_documented_with_its_variable_and_default() -> None:
    """Nobody can add a setting, or change a default, without saying so in docs/settings.md."""
    rows = [line.split(" | ") for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    documented = {row[0].strip("|` "): (row[1].strip("`"), row[2].strip("`")) for row in rows}
    assert set(documented) == set(Settings.__struct_fields__)
    said = {"": "empty", "False": "false", "{}": "empty"}
    for name, value in Settings().shown().items():
        variable, default = documented[name]
        assert variable == ("SERINUS_KAFKA_<NAME>" if name == "kafka" else variable_of(name))
        if name != "http_advertised_url":
            assert default == said.get(str(value), str(value))


def test_every_owned_property_is_documented() -> None:
    """A property that is refused is named in the documentation of the settings."""
    text = DOCUMENT.read_text()
    assert [name for name in OWNED_PROPERTIES if f"`{name}`" not in text] == ["test.mock.num.brokers"]


def test_variable_wins_over_file_and_file_over_default(tmp_path: Path) -> None:
    """The order of the layers is defaults, file, variables, and each value remembers its layer."""
    file = tmp_path / "serinus.yaml"
    file.write_text("http_port: 7001\nlog_level: debug\nkafka: {client.rack: a, enable.metrics.push: false}\n")
    environ = {"SERINUS_HTTP_PORT": "7002", "SERINUS_KAFKA_CLIENT_RACK": "b", "PATH": "/bin"}
    settings, sources = load(file, environ)
    assert (settings.http_port, settings.log_level, settings.http_host) == (7002, "debug", "127.0.0.1")
    assert settings.kafka == {"client.rack": "b", "enable.metrics.push": "false"}
    assert sources["http_port"] == "SERINUS_HTTP_PORT"
    assert sources["log_level"] == sources["kafka.enable.metrics.push"] == str(file)
    assert sources["kafka.client.rack"] == "SERINUS_KAFKA_CLIENT_RACK"
    assert sources["http_host"] == "default"


def test_config_variable_names_the_file(tmp_path: Path) -> None:
    """SERINUS_CONFIG does what --config does, and a file of comments alone changes nothing."""
    file = tmp_path / "serinus.yaml"
    file.write_text("# nothing yet\n\n")
    assert load(None, {"SERINUS_CONFIG": str(file)}).settings == Settings()
    file.write_text("topic_prefix: eu-\n")
    assert load(None, {"SERINUS_CONFIG": str(file)}).settings.topic("canary.inputs") == "eu-canary.inputs"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"SERINUS_HTTP_PORT": "x"}, "SERINUS_HTTP_PORT: found 'x'; allowed is a whole number from 1 to 65535"),
        ({"SERINUS_HTTP_PORT": "0"}, "SERINUS_HTTP_PORT: found '0'; allowed is a whole number from 1 to 65535"),
        ({"SERINUS_LOG_LEVEL": "loud"}, "SERINUS_LOG_LEVEL: found 'loud'; allowed are debug, info, warning, error"),
        ({"SERINUS_EMBEDDED": "maybe"}, "SERINUS_EMBEDDED: found 'maybe'; allowed is true or false"),
        ({"SERINUS_BROKERS": "kafka"}, "SERINUS_BROKERS: found 'kafka'; allowed is host:port"),
        ({"SERINUS_SESSION_TIMEOUT": "6"}, "SERINUS_SESSION_TIMEOUT: found '6'; allowed is a duration"),
        ({"SERINUS_SESSION_TIMEOUT": "1ms"}, "SERINUS_SESSION_TIMEOUT: session_timeout: found 1ms; allowed are 1s"),
        ({"SERINUS_HTP_PORT": "1"}, "SERINUS_HTP_PORT: no such setting; allowed are SERINUS_CONFIG, SERINUS_BROKERS"),
        ({"SERINUS_KAFKA_GROUP_ID": "g"}, "SERINUS_KAFKA_GROUP_ID: kafka.group.id: found group.id; Serinus sets it"),
        ({"SERINUS_EMBEDDED": "1", "SERINUS_INPUTS_PARTITIONS": "8"}, "the embedded broker has 4"),
        (
            {"SERINUS_HOOKS_ALLOW": "hooks.example/a"},
            "SERINUS_HOOKS_ALLOW: hooks_allow: found 'hooks.example/a'; allowed is http",
        ),
        (
            {"SERINUS_HOOKS_ALLOW": "http://a,http://b/?c"},
            "hooks_allow: found a query in 'http://b/?c'; allowed is a prefix",
        ),
        ({"SERINUS_HOOKS_WEBHOOKS": "a=b"}, "SERINUS_HOOKS_WEBHOOKS: found 'a=b'; allowed is names with a URL each"),
        ({"SERINUS_HOOKS_WEBHOOKS": '{"a": "b"}'}, "hooks_webhooks: found 'b'; allowed is http:// or https://"),
        ({"SERINUS_HOOKS_COMMANDS": '{"a": "b"}'}, 'SERINUS_HOOKS_COMMANDS: found \'{"a": "b"}\'; allowed is names'),
        ({"SERINUS_HOOKS_COMMANDS": '{"a": []}'}, "hooks_commands: found no program for a; allowed is [PROGRAM"),
        ({"SERINUS_HOOKS_COMMANDS": '{"A b": ["c"]}'}, "hooks_commands: found 'A b'; allowed is a name of up to 64"),
        ({"SERINUS_HOOKS_TIMEOUT": "10m"}, "hooks_timeout: found 10m; allowed are 100ms to 5m"),
        ({"SERINUS_CONFIG": "/nowhere/s.yaml"}, "/nowhere/s.yaml: not readable"),
    ],
)
def test_a_wrong_variable_is_refused_in_one_line(environ: dict[str, str], said: str) -> None:
    """Each mistake in the environment names the variable, what was found and what is allowed, on one line."""
    with pytest.raises(SettingsError) as refused:
        load(None, environ)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http_prot: 1", "serinus.yaml:1: http_prot: unknown field; allowed are brokers, kafka,"),
        ("brokers: a:1\nhttp_port: 70000", "serinus.yaml:2: http_port: found '70000'"),
        ("kafka: {acks: 0}", "serinus.yaml:1: kafka.acks: found acks; Serinus sets it itself"),
        ("- 1", "serinus.yaml:1: the document:"),
        ("a: [", "serinus.yaml:1: the document: not valid YAML"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    """Each mistake in the file names file, line and field."""
    file = tmp_path / "serinus.yaml"
    file.write_text(text)
    with pytest.raises(FileError) as refused:
        load(file, {})
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_kubernetes_service_links_are_left_alone() -> None:
    """A Kubernetes Service called serinus-anything must not stop the pods of its namespace, nor a test its subject."""
    links = {
        "SERINUS_TEST_BROKERS": "127.0.0.1:9092",
        "SERINUS_HTTP_PORT": "tcp://10.0.0.7:6066",
        "SERINUS_SERVICE_HOST": "10.0.0.7",
        "SERINUS_WORKER_SERVICE_PORT_HTTP": "6066",
        "SERINUS_WORKER_PORT_6066_TCP_ADDR": "10.0.0.7",
        "SERINUS_KAFKA_PORT": "tcp://10.0.0.8:9092",
        "SERINUS_KAFKA_SERVICE_HOST": "10.0.0.8",
        "SERINUS_KAFKA_PORT_9092_TCP": "tcp://10.0.0.8:9092",
    }
    assert load(None, links).settings == Settings()


def test_secrets_are_hidden_wherever_settings_are_shown() -> None:
    """Neither repr nor shown() contains a password, a key or a token; names of users are shown."""
    environ = {
        "SERINUS_KAFKA_SASL_PASSWORD": "hunter2",
        "SERINUS_KAFKA_SSL_KEY_PASSWORD": "hunter2",
        "SERINUS_KAFKA_SSL_KEY_PEM": "hunter2",
        "SERINUS_KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET": "hunter2",
        "SERINUS_KAFKA_SASL_OAUTHBEARER_CONFIG": "hunter2",
        "SERINUS_KAFKA_SASL_USERNAME": "ada",
    }
    settings = load(None, environ).settings
    shown = repr(settings) + str(settings) + json.dumps(settings.shown())
    assert "hunter2" not in shown
    assert "ada" in shown
    assert settings.kafka["sasl.password"] == "hunter2"


def test_underscored_property_keeps_its_name() -> None:
    """log_level is the property of librdkafka that is written with an underscore."""
    assert load(None, {"SERINUS_KAFKA_LOG_LEVEL": "7"}).settings.kafka == {"log_level": "7"}
