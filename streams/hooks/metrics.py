"""The recorder that owns every metric name of hooks."""

from __future__ import annotations

from typing import get_args

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge

from schemas.hook import Hook
from streams.hooks.lanes import Outcome


class HookMetrics:
    """What the process counts, in a registry of its own. No label is of a plan's choice."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._ended = Counter(
            "serinus_hooks_total",
            "Hooks of decisions by how they ended",
            ["format", "outcome"],
            registry=self.registry,
        )
        self._tries = Counter("serinus_hook_tries_total", "Calls and runs", ["outcome"], registry=self.registry)
        self._waiting = Gauge("serinus_hooks_waiting", "Hooks not yet delivered or given up", registry=self.registry)
        formats = get_args(next(field.type for field in msgspec.structs.fields(Hook) if field.name == "format"))
        for outcome in Outcome:
            for name in formats:
                self._ended.labels(name, outcome.value)
        for worked in (True, False):
            self._tries.labels(_word(worked))

    def ended(self, name: str, outcome: Outcome) -> None:
        self._ended.labels(name, outcome.value).inc()

    def tried(self, worked: bool) -> None:
        self._tries.labels(_word(worked)).inc()

    def waiting(self, count: int) -> None:
        self._waiting.set(count)


def _word(worked: bool) -> str:
    return "ok" if worked else "failed"
