"""Settings as an environment, for child processes: what the parent has in force is what they get."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from schemas.units import Duration
from streams.settings import Settings
from streams.settings_load import KAFKA_PREFIX, PREFIX, variable_of


def environment_of(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` with its SERINUS_* variables replaced by those that say exactly ``settings``.

    No file is named: a child must not read, some seconds later, a file that has changed since.
    """
    child = {name: value for name, value in environ.items() if not name.startswith(PREFIX)}
    for name, value in msgspec.structs.asdict(settings).items():
        if isinstance(value, Duration):
            child[variable_of(name)] = value.text()
        elif name != "kafka":
            child[variable_of(name)] = msgspec.json.encode(value).decode() if isinstance(value, dict) else str(value)
    for name, value in settings.kafka.items():
        child[KAFKA_PREFIX + name.upper().replace(".", "_")] = str(value)
    return child
