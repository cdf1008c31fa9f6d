"""Defaults, then a YAML file, then SERINUS_* variables: one configuration that knows where each value is from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, get_args, get_origin

import msgspec
import yaml

from schemas.file_errors import RuleError, parse_document
from schemas.hook import check_hook_name, check_url
from schemas.units import Duration, decode_hook
from streams.settings import MOCK_PARTITIONS, Settings

PREFIX = "SERINUS_"
CONFIG_VARIABLE = "SERINUS_CONFIG"
KAFKA_PREFIX = "SERINUS_KAFKA_"
TEST_PREFIX = "SERINUS_TEST_"
"""Variables of the test suite, which runs the pipeline in its own environment."""

SESSION_TIMEOUT_MS_MIN, SESSION_TIMEOUT_MS_MAX = 1_000, 1_800_000
HOOKS_MS = {
    "hooks_timeout": (Duration(100), Duration(300_000)),
    "hooks_give_up_after": (Duration(1_000), Duration(7 * 86_400_000)),
    "hooks_age_max": (Duration(60_000), Duration(7 * 86_400_000)),
}
"""Kafka forgets the offsets of a group that has been gone for a week, and hooks would begin with what is new."""

_UNDERSCORED = {"log.level": "log_level"}
"""librdkafka's only property name with an underscore that a person may want to set."""

OWNED_PROPERTIES = {
    "bootstrap.servers": "set brokers (SERINUS_BROKERS) instead",
    "metadata.broker.list": "set brokers (SERINUS_BROKERS) instead",
    "session.timeout.ms": "set session_timeout (SERINUS_SESSION_TIMEOUT) instead",
    "test.mock.num.brokers": "use `serinus up --embedded` instead",
    **dict.fromkeys(
        (
            "acks",
            "auto.offset.reset",
            "enable.auto.commit",
            "enable.auto.offset.store",
            "enable.idempotence",
            "enable.partition.eof",
            "group.id",
            "isolation.level",
            "message.timeout.ms",
            "partitioner",
            "request.required.acks",
            "transactional.id",
        ),
        "Serinus sets it itself, because its exactness depends on it",
    ),
}
"""Properties that a user may not pass through, and why."""

# Kubernetes describes every Service of the namespace in variables of its pods: a Service called `serinus-http` arrives
# as SERINUS_HTTP_PORT=tcp://10.0.0.7:6066, which is not a setting of ours.
_SERVICE_LINK = re.compile(r"_(SERVICE_(HOST|PORT)(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$")
_SERVICE_URL = re.compile(r"^(tcp|udp|sctp)://")


class SettingsError(ValueError):
    """The configuration is wrong. One line: what, where, what was found, what is allowed."""


class Loaded(NamedTuple):
    """The settings in force and, by name of the setting, where each value came from."""

    settings: Settings
    sources: dict[str, str]


def load(config: Path | None, environ: Mapping[str, str]) -> Loaded:
    """Read the configuration.

    Parameters
    ----------
    config : the YAML file; None means the one named by SERINUS_CONFIG, if any.
    environ : the environment, usually ``os.environ``.

    Raises
    ------
    SettingsError, schemas.file_errors.FileError : one line naming file or variable, what was found, what is allowed.
    """
    if config is None and environ.get(CONFIG_VARIABLE):
        config = Path(environ[CONFIG_VARIABLE])
    settings, sources = Settings(), dict.fromkeys(Settings.__struct_fields__, "default")
    if config is not None:
        settings, named = _from_file(config)
        sources |= dict.fromkeys(named, str(config))
        sources |= {f"kafka.{name}": str(config) for name in settings.kafka}
    changes, changed_by = _from_variables(environ)
    properties = dict(settings.kafka)
    for variable, value in _kafka_variables(environ):
        name = _property_name(variable)
        properties[name] = value
        sources[f"kafka.{name}"] = changed_by["kafka"] = variable
    settings = msgspec.structs.replace(settings, **changes, kafka=_as_text(properties))
    sources |= changed_by
    try:
        check(settings)
    except RuleError as error:
        name = error.path.removeprefix("$.")
        raise SettingsError(f"{sources.get(name, 'default')}: {name}: {error.what}") from error
    return Loaded(settings, sources)


def check(settings: Settings) -> None:
    """Check what types cannot say; raises :class:`schemas.file_errors.RuleError`."""
    for name in settings.kafka:
        if why := OWNED_PROPERTIES.get(name):
            raise RuleError(f"$.kafka.{name}", f"found {name}; {why}")
    if settings.embedded and {settings.inputs_partitions, settings.events_partitions} != {MOCK_PARTITIONS}:
        found = f"{settings.events_partitions} and {settings.inputs_partitions}"
        raise RuleError(
            "$.embedded",
            f"found events_partitions and inputs_partitions of {found}; the embedded broker has {MOCK_PARTITIONS}",
        )
    if not SESSION_TIMEOUT_MS_MIN <= settings.session_timeout <= SESSION_TIMEOUT_MS_MAX:
        raise RuleError("$.session_timeout", f"found {settings.session_timeout.text()}; allowed are 1s to 30m")
    _check_hooks(settings)


def _check_hooks(settings: Settings) -> None:
    for prefix in settings.allowed_prefixes:
        check_url("$.hooks_allow", prefix)
        if "?" in prefix:
            raise RuleError("$.hooks_allow", f"found a query in {prefix!r}; allowed is a prefix of URLs")
    for name, url in settings.hooks_webhooks.items():
        check_hook_name("$.hooks_webhooks", name)
        check_url("$.hooks_webhooks", url)
    for name, argv in settings.hooks_commands.items():
        check_hook_name("$.hooks_commands", name)
        if not argv or not argv[0]:
            raise RuleError("$.hooks_commands", f"found no program for {name}; allowed is [PROGRAM, ARGUMENT, ...]")
    for name in ("hooks_timeout", "hooks_give_up_after", "hooks_age_max"):
        found: Duration = getattr(settings, name)
        least, most = HOOKS_MS[name]
        if not least <= found <= most:
            raise RuleError(f"$.{name}", f"found {found.text()}; allowed are {least.text()} to {most.text()}")


def variable_of(name: str) -> str:
    """The variable that sets the setting ``name``.

    >>> variable_of("http_port")
    'SERINUS_HTTP_PORT'
    """
    return PREFIX + name.upper()


def _from_file(config: Path) -> tuple[Settings, list[str]]:
    try:
        text = config.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{config}: not readable: {error}") from error
    if all(not line.strip() or line.lstrip().startswith("#") for line in text.splitlines()):
        return Settings(), []
    settings = parse_document(text, Settings, file=str(config), rules=check)
    return settings, list(yaml.safe_load(text))


def _from_variables(environ: Mapping[str, str]) -> tuple[dict[str, object], dict[str, str]]:
    fields = {variable_of(f.name): f for f in msgspec.structs.fields(Settings) if f.name != "kafka"}
    changes: dict[str, object] = {}
    changed_by: dict[str, str] = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or _is_service_link(variable, environ[variable]):
            continue
        if variable == CONFIG_VARIABLE or variable.startswith((KAFKA_PREFIX, TEST_PREFIX)):
            continue
        field = fields.get(variable)
        if field is None:
            allowed = ", ".join([CONFIG_VARIABLE, *fields, f"{KAFKA_PREFIX}<NAME>"])
            raise SettingsError(f"{variable}: no such setting; allowed are {allowed}")
        try:
            if field.default_factory is dict:
                value = msgspec.json.decode(environ[variable].encode(), type=field.type)
            else:
                value = msgspec.convert(environ[variable], field.type, strict=False, dec_hook=decode_hook)
        except msgspec.DecodeError as error:
            what = _allowed(field.type) or _lower_first(str(error))
            raise SettingsError(f"{variable}: {_found(environ[variable], what)}") from error
        changes[field.name], changed_by[field.name] = value, variable
    return changes, changed_by


def _kafka_variables(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    return [
        (variable, environ[variable])
        for variable in sorted(environ)
        if variable.startswith(KAFKA_PREFIX) and not _is_service_link(variable, environ[variable])
    ]


def _property_name(variable: str) -> str:
    name = variable.removeprefix(KAFKA_PREFIX).lower().replace("_", ".")
    return _UNDERSCORED.get(name, name)


def _is_service_link(variable: str, value: str) -> bool:
    return bool(_SERVICE_LINK.search(variable) or (variable.endswith("_PORT") and _SERVICE_URL.match(value)))


def _as_text(properties: Mapping[str, str | int | float | bool]) -> dict[str, str]:
    """Write values as librdkafka reads them: YAML's true is its ``true``, not Python's ``True``."""
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in properties.items()}


def _allowed(kind: object) -> str | None:
    if get_origin(kind) is Literal:
        return "allowed are " + ", ".join(get_args(kind))
    said = [note.description for note in getattr(kind, "__metadata__", ()) if isinstance(note, msgspec.Meta)]
    return f"allowed is {said[0]}" if said else None


def _found(value: str, what: str) -> str:
    return what if what.startswith("found") else f"found {value!r}; {what}"


def _lower_first(text: str) -> str:
    return text[0].lower() + text[1:]
