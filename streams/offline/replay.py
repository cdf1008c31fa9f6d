"""Replay: recorded events through ingest's aggregation and the worker's fold, as if they arrived now.

The requests were answered by the versions that answered them then; the decisions are those that the code would take.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

import msgspec
import numpy as np

from releases.machine_io import Decide
from schemas.basis import Basis
from schemas.command import Command, Verb
from schemas.decision import Decision, State
from schemas.event import decode_event
from schemas.inputs import decode_input
from schemas.packed import decode_pack, is_pack
from schemas.plan import Plan
from schemas.report import SLICE_MS, Report
from streams.ingest.aggregate import Aggregator
from streams.ingest.records import Records
from streams.offline.event_files import Line
from streams.offline.outcome import DecidedBy, decided_by, final
from streams.worker.fold import Effect, fold, input_of, named_in, start_service
from streams.worker.state import Asked, BasisLearned, Input, Service, SliceSeen, TimePassed

TOPIC_ID = "replay"
TICK_MS = 1_000


class Summary(msgspec.Struct, frozen=True, tag="summary", tag_field="type"):
    """How a replay ended.

    Parameters
    ----------
    state : of the release; None when nothing started one.
    events : usable ones of all services; ``dead`` the others, by reason in ``dead_reasons``.
    requests : of the plan's service, by version, from the first event to the last.
    """

    state: State | None
    decided_at_ms: int | None
    decided_by: DecidedBy | None
    events: int
    dead: int
    requests: dict[str, int]
    dead_reasons: dict[str, int]
    reason: str


Tell = Callable[[Decision], None]
"""Called with every decision as it is taken."""


def replay(lines: Iterable[Line], plan: Plan, tell: Tell) -> Summary:
    """Replay events; the release starts at the first of its service.

    Every 250 ms of log time end with the reports that ingest would have sent, every second with a tick, until the
    release has ended. What is left is counted.

    Parameters
    ----------
    lines : in the order of their log times.
    plan : of the release.
    """
    aggregator = Aggregator(TOPIC_ID)
    player, counts = _Player(plan, tell), _Counts(plan.service)
    for slice_no, group in groupby(lines, key=lambda line: line.log_ms // SLICE_MS):
        read = list(group)
        _, refused = aggregator.add(_records(read))
        counts.events = aggregator.events
        counts.add_dead(one.reason for one in refused)
        reports = [report for part in aggregator.flush() for report in part if report.slice_no == slice_no]
        for report in reports:
            counts.count(report)
        if not player.started:
            dead = {one.row for one in refused}
            player.start(line for row, line in enumerate(read) if row not in dead)
        player.hear(reports, at_ms=(slice_no + 1) * SLICE_MS)
        aggregator.count_in(player.bases)
    player.close()
    return counts.summary(player.decisions, plan)


def replay_inputs(lines: Iterable[Line], plan: Plan, tell: Tell) -> Summary:
    """Replay recorded records of ``canary.inputs``: exactly what the worker folded, so exactly what it decided.

    Parameters
    ----------
    lines : of the partition of the plan's service; others are left out.
    plan : names the service; the plan of the release is in the start command that was recorded.
    """
    counts, decisions = _Counts(plan.service), list[Decision]()
    services: dict[int, Service] = {}
    for line in lines:
        try:
            record = decode_input(line.value or b"")
        except (msgspec.DecodeError, ValueError):
            counts.add_dead(["not an input of the worker"])
            continue
        service, named = services.get(line.source), named_in(record)
        if service is None:
            if plan.service not in named:
                continue
            service = start_service(plan.service, line.offset, line.log_ms)
        item = input_of(record, named, offset=line.offset, log_ms=line.log_ms, service=plan.service)
        if item is None:
            continue
        if isinstance(record, Report):
            counts.count(record)
        services[line.source], effects = fold(service, item)
        for decision in _decisions(effects):
            decisions.append(decision)
            tell(decision)
    running = (service.stored.release.release for service in services.values())
    return counts.summary(decisions, next((release.plan for release in running if release is not None), plan))


def is_inputs(line: Line) -> bool:
    """Whether a recorded record comes from ``canary.inputs``, whatever the prefix of its name."""
    return line.topic.endswith("canary.inputs")


def _records(lines: list[Line]) -> Records:
    return Records(
        raw=[line.value for line in lines],
        source=np.array([line.source for line in lines], dtype=np.int64),
        offset=np.array([line.offset for line in lines], dtype=np.int64),
        log_ms=np.array([line.log_ms for line in lines], dtype=np.int64),
    )


def _service_of(raw: bytes) -> str:
    """The service of a usable record."""
    return decode_pack(raw).service if is_pack(raw) else decode_event(raw).service


def _decisions(effects: tuple[Effect, ...]) -> Iterator[Decision]:
    return (effect.decision for effect in effects if isinstance(effect, Decide))


class _Counts:
    """What was read."""

    def __init__(self, service: str) -> None:
        self._service = service
        self.events = 0
        self._dead: Counter[str] = Counter()
        self._slices: dict[tuple[str, int, int], tuple[int, dict[str, int]]] = {}

    def add_dead(self, reasons: Iterable[str]) -> None:
        """The reasons of records that cannot be used."""
        self._dead.update(reasons)

    def count(self, report: Report) -> None:
        """The requests of a report; the longest prefix of a slice wins."""
        key = (report.topic_id, report.source, report.slice_no)
        if key in self._slices and self._slices[key][0] > report.through_offset:
            return
        requests: Counter[str] = Counter()
        for cell in report.cells:
            if cell.service == self._service:
                requests[cell.version] += cell.n
        if requests:
            self._slices[key] = (report.through_offset, requests)

    def summary(self, decisions: list[Decision], plan: Plan) -> Summary:
        end = final(decisions)
        requests: Counter[str] = Counter()
        for _, counted in self._slices.values():
            requests.update(counted)
        return Summary(
            state=decisions[-1].state if decisions else None,
            decided_at_ms=None if end is None else end.at_ms,
            decided_by=None if end is None else decided_by(end, plan),
            events=self.events,
            dead=self._dead.total(),
            requests=dict(sorted(requests.items())),
            dead_reasons=dict(sorted(self._dead.items())),
            reason=decisions[-1].reason if decisions else "no usable event: no release was started",
        )


class _Player:
    """Feeds the fold of one service: the start, reports, and a tick every second of log time."""

    def __init__(self, plan: Plan, tell: Tell) -> None:
        self._plan, self._tell = plan, tell
        self.decisions: list[Decision] = []
        self.bases: dict[str, Basis] = {}
        self._service: Service | None = None
        self._offset = 0
        self._now_ms = 0
        self._sources: dict[str, int] = {}

    @property
    def started(self) -> bool:
        return self._service is not None

    def start(self, lines: Iterable[Line]) -> None:
        """Start the release at the first of some usable events that is the service's, if there is one."""
        name = self._plan.service
        at_ms = next((line.log_ms for line in lines if _service_of(line.value or b"") == name), None)
        if at_ms is None:
            return
        self._now_ms = at_ms
        self._service = start_service(name, 0, at_ms)
        reason = "replay of recorded events"
        self._fold(Asked(Command("start", name, Verb.START, "replay", reason, at_ms, plan=self._plan)), at_ms)

    def hear(self, reports: list[Report], *, at_ms: int) -> None:
        """Reports at the end of their slice, after the ticks of the time since the last ones."""
        if self._service is None:
            return
        self._tick(at_ms)
        for report in reports:
            item = input_of(report, named_in(report), offset=self._offset, log_ms=at_ms, service=self._plan.service)
            if item is not None and isinstance(item.body, SliceSeen):
                self._sources[item.body.source] = item.body.slice_no
                self._fold(item.body, at_ms)

    def close(self) -> None:
        """After the last event: each source partition moves on by one slice, so that all evidence is judged."""
        at_ms = self._now_ms + SLICE_MS
        newest = max(self._sources.values(), default=0) + 1
        for source in sorted(self._sources):
            self._fold(SliceSeen(source, newest, -1, ()), at_ms)

    def _tick(self, at_ms: int) -> None:
        next_ms = (self._now_ms // TICK_MS + 1) * TICK_MS
        while next_ms <= at_ms and final(self.decisions) is None:
            self._fold(TimePassed(), next_ms)
            next_ms += TICK_MS

    def _fold(self, body: SliceSeen | TimePassed | Asked, at_ms: int) -> None:
        if self._service is None or final(self.decisions) is not None:
            return
        self._now_ms = max(self._now_ms, at_ms)
        self._service, effects = fold(self._service, Input(self._offset, at_ms, body))
        self._offset += 1
        for effect in effects:
            if isinstance(effect, BasisLearned):
                self.bases = {} if effect.basis is None else {effect.service: effect.basis}
        for decision in _decisions(effects):
            self.decisions.append(decision)
            self._tell(decision)
