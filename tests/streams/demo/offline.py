"""The demo without Kafka, processes or waiting: its traffic, the real router, and the worker's pure fold."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np

import serinus
from detectors.summaries.measure import Measure
from detectors.summaries.rate import Rate
from detectors.summaries.summary import Summary
from releases.machine_io import Decide, Publish
from schemas.command import Command, Verb
from schemas.decision import Decision
from schemas.report import PANE_MS, SLICE_MS, Cell
from schemas.route import encode_route
from streams.demo.run import SPEED, plan_of
from streams.demo.scene import Release
from streams.demo.service import Cast, Service
from streams.demo.trace import Trace
from streams.worker import fold as worker
from streams.worker.state import Asked, Input, SliceSeen, TimePassed

START_MS = 1_700_000_000_000


class Offline:
    """One service of the demo, played slice by slice."""

    def __init__(self, cast: Cast, trace: Trace, seed: int) -> None:
        self.now_ms = START_MS
        clock = serinus.Clock(now_ms=lambda: self.now_ms, monotonic_s=lambda: self.now_ms / 1000)
        self.router = serinus.Router(service=cast.name, fallback=cast.baseline, clock=clock)
        self.events: list[dict[str, Any]] = []
        self.service = Service(
            cast,
            trace,
            speed=SPEED,
            router=self.router,
            emit=lambda **event: self.events.append(event),
            rng=Random(seed),
        )
        self.release = Release(self.service)
        self.split: dict[int, dict[str, int]] = {}
        """Requests by version, for each share that the router knew the canary to have."""
        self._folded = worker.start_service(cast.name, 0, START_MS)
        self._offset = 0

    def play(self, limit_s: float) -> Release:
        """Play until the release has ended and one slice longer, or for so long."""
        plan = plan_of(self.service.cast)
        start = Command("c1", plan.service, Verb.START, "demo", "test", START_MS, plan=plan)
        routes = self._feed(Asked(start))
        for number in range(int(limit_s * 1000 / SLICE_MS)):
            self.now_ms = START_MS + number * SLICE_MS
            for route in routes:
                self.router.apply(route)
            ended = self.release.final
            self._serve(number * SLICE_MS / 1000)
            routes = self._feed(SliceSeen("t/0", START_MS // SLICE_MS + number, number, self._cells()))
            routes += self._feed(TimePassed())
            if ended:
                break
        return self.release

    def _serve(self, now_s: float) -> None:
        self.events.clear()
        self.service.serve(now_s)
        weight_ppm = self.router.state().weights_ppm.get(self.service.cast.canary, 0)
        counts = self.split.setdefault(weight_ppm, dict.fromkeys(self.service.cast.versions, 0))
        for event in self.events:
            counts[event["version"]] += 1

    def _feed(self, body: SliceSeen | TimePassed | Asked) -> list[bytes]:
        self._offset += 1
        self._folded, effects = worker.fold(self._folded, Input(self._offset, self.now_ms + SLICE_MS, body))
        decisions: list[Decision] = [effect.decision for effect in effects if isinstance(effect, Decide)]
        for decision in decisions:
            self.release.add(decision)
        return [encode_route(effect.route) for effect in effects if isinstance(effect, Publish)]

    def _cells(self) -> tuple[Cell, ...]:
        groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for event in self.events:
            groups.setdefault((event["version"], event["segment"]), []).append(event)
        return tuple(
            Summary(
                Rate(len(events), sum(event["error"] for event in events)),
                {"latency_ms": Measure.of(np.array([event["latency_ms"] for event in events]))},
            ).to_cell(service=self.service.cast.name, version=version, segment=segment, pane=self.now_ms // PANE_MS)
            for (version, segment), events in groups.items()
        )
