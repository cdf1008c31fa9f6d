"""The undisturbed fold of the inputs log: one partition of the worker that never dies, never waits, never stores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import assert_never
from unittest import mock

import msgspec

from releases.machine_io import Decide, Publish, Refuse
from schemas.decision import Action, Decision, encode_record
from schemas.evidence import Verdict
from schemas.inputs import decode_input
from schemas.report import SLICE_MS, Cell, Report
from schemas.route import Route, encode_route
from streams.worker import beats
from streams.worker.beats import GRACE_MS
from streams.worker.fold import Effect
from streams.worker.partition import Partition
from streams.worker.restore import Restored
from streams.worker.state import BasisLearned, Service, Stored, WindowAdded
from streams.worker.stored_records import ServiceRecord, encode_value, service_record
from streams.worker.tiers import Span
from streams.worker.windows import Window
from tests.simulator.broker import INPUT_PARTITIONS, Broker, Record
from tests.simulator.truth import Counts

OPENING = {Action.ADVANCE, Action.PROMOTE, Action.RESUME}
"""What the machine may do to a share by itself, with a PASS."""


Closed = tuple[Service, tuple[Cell, ...]]
"""What closing a beat returns."""


class Broken(Exception):  # noqa: N818 (an invariant, not an error of the program)
    """An invariant does not hold."""


def counts_of(cells: Iterable[Cell]) -> Counts:
    """Requests by service, version, segment and pane."""
    found: Counts = Counter()
    for cell in cells:
        found[cell.service, cell.version, cell.segment, cell.pane] += cell.n
    return found


def windows_of(partition: Partition) -> Iterator[Window]:
    """All windows in memory."""
    for windows in partition.windows.values():
        yield from map(windows.window, windows.held)


def counted(partition: Partition) -> Counts:
    """Windows and the slices still open, by the pane with which the window begins."""
    found = counts_of(cell for window in windows_of(partition) for cell in window.cells)
    for service in partition.services.values():
        still_open = counts_of(cell for held in service.open.values() for cell in held.cells)
        found.update(placed(still_open, partition))
    return found


def placed(counts: Counts, partition: Partition) -> Counts:
    """Requests by the pane with which their window begins; without those that are too old for any."""
    found: Counts = Counter()
    for (service, version, segment, pane), n in counts.items():
        home = partition.windows[service].home(pane) if service in partition.windows else None
        if home is not None:
            found[service, version, segment, home.first] += n
    return found


class Reference:
    """Folds every record of the inputs as it is written, once, and remembers what it came to at each offset."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.partitions = [
            Partition(
                number, partitions=INPUT_PARTITIONS, writer="", restored=Restored(), routed={}, caught_up_at=1 << 62
            )
            for number in range(INPUT_PARTITIONS)
        ]
        self.decided: set[bytes] = set()
        self.routed: dict[bytes, tuple[str, int]] = {}
        self.graced: set[str] = set()
        self.refused: set[tuple[int, int]] = set()
        """Inputs that are none, by partition and offset."""
        self.judged: Counter[str] = Counter()
        """Requests of the beats that were judged, by service."""
        self.folded: Counter[str] = Counter()
        """Requests that went into windows."""
        self._states: dict[tuple[str, int], Service] = {}
        self._encoded: dict[tuple[str, int], bytes] = {}
        self._windows: dict[tuple[str, Span, int], Counts] = {}
        self._epochs: dict[str, int] = {}
        self._shares: dict[str, int] = {}

    def written(self, number: int, record: Record) -> None:
        """Fold one record that has just been written."""
        partition = self.partitions[number]
        before = dict(partition.services)
        held = {(window.service, window.span) for window in windows_of(partition)}
        try:
            decoded = decode_input(record.value or b"")
        except (msgspec.DecodeError, ValueError):
            self.refused.add((number, record.offset))
        else:
            if isinstance(decoded, Report) and decoded.slice_no > self._broker.newest_ms // SLICE_MS:
                raise Broken(f"a report of slice {decoded.slice_no}, which lies in the future")
            with mock.patch.object(beats, "close", self._closing(beats.close)):
                effects = partition.apply(decoded, offset=record.offset, log_ms=record.log_ms)
            if partition.stuck:
                raise Broken(f"the fold has raised: {partition.stuck}")
            self._note(effects)
            for window in windows_of(partition):
                if window.applied == record.offset or (window.service, window.span) not in held:
                    self._windows[window.service, window.span, window.applied] = counts_of(window.cells)
        partition.position.passed()
        for name, service in partition.services.items():
            self._states[name, record.offset] = service
            if name in before:
                self._look_at(name, before[name].stored, service.stored)

    def state(self, service: str, applied: int) -> bytes:
        """The stored form of a service after an input."""
        key = (service, applied)
        if key not in self._encoded:
            self._encoded[key] = stored_form(service_record(self._states[key]))
        return self._encoded[key]

    def replay_from(self, service: str, applied: int) -> int:
        return self._states[service, applied].replay_from

    def ledger(self) -> None:
        """Every request in the windows was judged in its beat or counted as late, and no other was."""
        for partition in self.partitions:
            for name, service in partition.services.items():
                waiting = sum(n for slices in service.stored.unfolded.values() for n in slices.values())
                if self.judged[name] + service.stored.late != self.folded[name] + waiting:
                    raise Broken(
                        f"{name}: {self.judged[name]} requests judged and {service.stored.late} late, "
                        f"but {self.folded[name]} in the windows and {waiting} on the way there"
                    )

    def window(self, service: str, span: Span, applied: int) -> Counts | None:
        """What a window held after an input that added to it; None when that input added nothing."""
        return self._windows.get((service, span, applied))

    def _closing(self, close: Callable[[Service, int], Closed]) -> Callable[[Service, int], Closed]:
        def closing(service: Service, beat: int) -> Closed:
            after, cells = close(service, beat)
            self.judged[service.stored.service] += sum(cell.n for cell in cells)
            return after, cells

        return closing

    def _note(self, effects: list[tuple[str, Effect]]) -> None:
        for name, effect in effects:
            match effect:
                case WindowAdded(cells=cells):
                    self.folded[name] += sum(cell.n for cell in cells)
                case Decide(decision=decision):
                    self.decided.add(encode_record(decision))
                    self._decided(decision)
                case Refuse(refusal=refusal):
                    self.decided.add(encode_record(refusal))
                case Publish(route=route):
                    self._routed(route)
                case BasisLearned():
                    pass
                case _:
                    assert_never(effect)

    def _decided(self, decision: Decision) -> None:
        name = decision.service
        if decision.epoch <= self._epochs.get(name, 0):
            raise Broken(f"{name}: epoch {decision.epoch} after {self._epochs[name]}")
        self._epochs[name] = decision.epoch
        share = decision.weights_ppm.get("v2", 0)
        raised = share > self._shares.get(name, 0)
        if raised and decision.command_id is None and decision.verdict is not Verdict.PASS:
            raise Broken(f"{name}: {decision.action} opens traffic on {decision.verdict}")
        if raised and decision.command_id is None and decision.action not in OPENING:
            raise Broken(f"{name}: {decision.action} opens traffic")
        self._shares[name] = share

    def _routed(self, route: Route) -> None:
        self.routed[encode_route(route)] = (route.service, route.epoch)

    def _look_at(self, name: str, before: Stored, after: Stored) -> None:
        for place, known in after.sources.items():
            if known.folded > after.judged:
                raise Broken(f"{name}: slice {known.folded} of {place} is in the windows before it was judged")
        if after.judged == before.judged:
            return
        behind = [s for s in after.sources.values() if s.newest_slice <= after.judged]
        if not behind:
            return
        self.graced.add(name)
        shown_ms = max((ms for beat, ms in before.shown_ms.items() if beat <= after.judged), default=after.now_ms)
        for source in behind:
            if after.now_ms - source.moved_ms < GRACE_MS and after.now_ms - shown_ms < GRACE_MS:
                raise Broken(f"{name}: beat {after.judged} was judged before all had passed it and before the grace")


def stored_form(record: ServiceRecord) -> bytes:
    """A service's record for comparing."""
    return encode_value(record)
