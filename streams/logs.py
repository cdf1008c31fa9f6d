"""Structured logs: one JSON object or one console line per event, from our own code and from libraries alike."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog
from structlog.typing import Processor

from schemas.decision import Decision
from schemas.evidence import Verdict
from streams.settings import SECRET, Settings, shown_property

_QUIET = ("faust", "mode", "aiokafka", "kafka", "asyncio")
"""Libraries that tell at `info` what helps only their own developers."""


def configure(settings: Settings) -> None:
    """Set up structlog and the standard library's logging once, at the start of a process. Logs go to stderr."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    is_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_secrets,
    ]
    rendered: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if is_json
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def hide_secrets(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Processor that replaces the value of every field, and of every entry of a mapping, whose name is a secret's."""
    for name, value in event.items():
        event[name] = _hidden(name, value)
    return event


def _hidden(name: str, value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _hidden(str(key), entry) for key, entry in value.items()}
    return SECRET if shown_property(name.replace("_", "."), value) == SECRET else value


def log_decision(decision: Decision) -> None:
    """Log one decision as one line with its reason; a failed verdict as a warning, because somebody should look."""
    log = structlog.stdlib.get_logger("serinus.decision")
    say = log.warning if decision.verdict is Verdict.FAIL else log.info
    say(
        decision.reason,
        service=decision.service,
        release_id=decision.release_id,
        epoch=decision.epoch,
        action=decision.action.value,
        state=decision.state.value,
        verdict=decision.verdict.value,
        weights_ppm=decision.weights_ppm,
        actor=decision.actor,
    )
