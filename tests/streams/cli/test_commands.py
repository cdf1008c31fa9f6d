"""The commands that need no broker, and how every command says no."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from streams import kafka
from streams.cli import TABLE, cli


def serinus(*words: str, **environ: str) -> Result:
    return CliRunner().invoke(cli, words, env=environ, prog_name="serinus", catch_exceptions=False)


@pytest.mark.parametrize("name", TABLE)
def test_every_entry_of_the_table_is_a_command(name: str) -> None:
    """The table names only what exists, and each command explains itself."""
    module, attribute = TABLE[name].target.split(":")
    command = getattr(import_module(module), attribute)
    assert isinstance(command, click.Command)
    assert command.name == name
    assert command.help


def test_help_lists_every_command_without_importing_the_pipeline() -> None:
    """`serinus --help` is quick: neither Faust nor a command's module is imported for it."""
    program = "import sys; from streams.cli import cli; cli.main(['--help'], 'serinus')"
    check = f"import sys, atexit; atexit.register(lambda: print('faust' in sys.modules)); {program}"
    out = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout
    assert all(f"  {name} " in out for name in TABLE)
    assert out.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], "serinus: No such command 'nonsense'"),
        (["version", "--nonsense"], "serinus version: No such option"),
        (["release", "pause", "chat"], "serinus release pause: Missing option '--reason'"),
        (["release", "set-weight", "chat", "v2", "5", "--reason", "x"], "found '5'; allowed is a percentage"),
        (["release", "start", "/nowhere/plan.yaml"], "/nowhere/plan.yaml: not readable: No such file"),
        (["config", "--config", "/nowhere/s.yaml"], "/nowhere/s.yaml: not readable"),
        (["release", "pause", "chat", "--reason", " "], "$.reason"),
    ],
)
def test_wrong_input_is_one_line_on_stderr_and_exit_2(words: list[str], said: str) -> None:
    """A user's mistake never shows a traceback: one line says where and what is allowed, stdout stays empty."""
    result = serinus(*words, SERINUS_BROKERS="127.0.0.1:1")
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_a_bad_plan_is_refused_with_its_line(tmp_path: Path) -> None:
    """The error of a plan names file, line and field."""
    plan = tmp_path / "plan.yaml"
    plan.write_text("service: chat\nbaseline: v1\ncanaries: [v1]\n")
    result = serinus("release", "start", str(plan))
    assert result.exit_code == 2
    assert "plan.yaml:" in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "words", [["topics", "check"], ["topics", "create"], ["release", "status", "chat"], ["release", "watch", "chat"]]
)
def test_an_absent_broker_is_exit_3(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka out of reach is one line with its address and exit 3, and stdout stays empty."""
    monkeypatch.setattr(kafka, "REQUIRE_TIMEOUT_S", 0.5)
    result = serinus(*words, "--json", SERINUS_BROKERS="127.0.0.1:1")
    assert result.exit_code == 3
    assert result.stderr.startswith("serinus: Kafka at 127.0.0.1:1 is not reachable (")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_version_names_what_matters() -> None:
    """Bug reports need the versions of Serinus, Faust and librdkafka."""
    found = json.loads(serinus("version", "--json").stdout)
    assert found["type"] == "version"
    assert {"serinus", "python", "faust-streaming", "confluent-kafka", "librdkafka"} <= found.keys()
    assert "librdkafka " in serinus("version").stdout


def test_config_shows_values_and_their_sources(tmp_path: Path) -> None:
    """Each setting is shown with where it came from, and no secret is."""
    file = tmp_path / "serinus.yaml"
    file.write_text("http_port: 7001\nkafka: {sasl.password: hunter2}\n")
    result = serinus("config", "--json", "--config", str(file), SERINUS_LOG_LEVEL="debug")
    shown = {line["name"]: line for line in map(json.loads, result.stdout.splitlines())}
    assert shown["http_port"] == {"type": "setting", "name": "http_port", "value": 7001, "source": str(file)}
    assert shown["log_level"]["source"] == "SERINUS_LOG_LEVEL"
    assert shown["brokers"]["source"] == "default"
    assert shown["kafka.sasl.password"]["value"] == "***"
    plain = serinus("--config", str(file), "config").stdout
    assert "7001" in plain and "hunter2" not in plain + result.stdout


def test_schemas_are_written_and_checked(tmp_path: Path) -> None:
    """What was written passes the check; a changed or missing document is named and gives exit 1."""
    out = tmp_path / "schemas"
    assert serinus("schemas", "--out", str(out), "--check").exit_code == 1
    assert not out.exists()
    assert serinus("schemas", "--out", str(out)).exit_code == 0
    assert serinus("schemas", "--out", str(out), "--check").exit_code == 0
    victim = min(out.iterdir())
    victim.write_text(victim.read_text() + " ")
    result = serinus("schemas", "--out", str(out), "--check", "--json")
    states = {line["path"]: line["state"] for line in map(json.loads, result.stdout.splitlines())}
    assert result.exit_code == 1
    assert [path for path, state in states.items() if state != "unchanged"] == [str(victim)]


def test_output_into_a_closed_pipe_is_no_traceback() -> None:
    """`serinus config | head -1` ends quietly when the reader has gone."""
    command = f"{sys.executable} -m streams.cli config --json | head -c 1; echo ${{PIPESTATUS[0]}}"
    found = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert "Traceback" not in found.stderr
