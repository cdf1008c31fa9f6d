"""A small model of the log: source partitions with events, reports of their slices, and what repeats them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from detectors.summaries.measure import Measure
from detectors.summaries.rate import Rate
from detectors.summaries.summary import Summary
from schemas.report import Cell
from streams.worker.fold import fold, start_service
from streams.worker.state import Input, Service, SliceSeen, TimePassed, WindowAdded
from streams.worker.windows import Window, add

SERVICE = "chat"


@dataclass(frozen=True)
class Event:
    """One request in one source partition; its offset is its place in the partition's list."""

    slice_no: int
    pane: int
    version: str
    error: bool
    latency_ms: float


def cells_of(events: list[Event]) -> tuple[Cell, ...]:
    """What ingest would report of these events."""
    groups: dict[tuple[str, int], list[Event]] = {}
    for event in events:
        groups.setdefault((event.version, event.pane), []).append(event)
    return tuple(
        Summary(
            Rate(len(group), sum(e.error for e in group)),
            {"latency_ms": Measure.of(np.array([e.latency_ms for e in group]))},
        ).to_cell(service=SERVICE, version=version, segment="", pane=pane)
        for (version, pane), group in sorted(groups.items())
    )


@st.composite
def partitions(draw: st.DrawFn) -> list[list[Event]]:
    """One to three source partitions with events in the order of their slices."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        slices = sorted(draw(st.lists(st.integers(0, 12), max_size=14)))
        found.append(
            [
                Event(
                    slice_no=slice_no,
                    pane=draw(st.integers(0, 2)),
                    version=draw(st.sampled_from(["v1", "v2"])),
                    error=draw(st.booleans()),
                    latency_ms=draw(st.floats(1, 1000)),
                )
                for slice_no in slices
            ]
        )
    return found


@st.composite
def reports_of(draw: st.DrawFn, source: int, events: list[Event]) -> list[SliceSeen]:
    """The reports of one partition: growing prefixes of each slice, the final one last, repeats and zombies between.

    A zombie is a second ingest that still works on an older slice: it says again what was said, never more.
    """
    said: list[SliceSeen] = []
    for slice_no in sorted({event.slice_no for event in events}):
        offsets = [offset for offset, event in enumerate(events) if event.slice_no == slice_no]
        stops = sorted(set(draw(st.lists(st.sampled_from(offsets), max_size=2))) | {offsets[-1]})
        for through in stops:
            prefix = [events[offset] for offset in offsets if offset <= through]
            said.append(SliceSeen(f"topic/{source}", slice_no, through, cells_of(prefix)))
            if draw(st.booleans()):
                said.append(draw(st.sampled_from(said)))
    return said


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[list[Event]], list[Input]]:
    """The events, and one log of inputs in which the reports of all partitions are interleaved with ticks."""
    sources = draw(partitions())
    queues = [draw(reports_of(number, events)) for number, events in enumerate(sources)]
    inputs: list[Input] = []
    log_ms = 0
    while any(queues):
        number = draw(st.sampled_from([n for n, queue in enumerate(queues) if queue]))
        inputs.append(Input(len(inputs), log_ms, queues[number].pop(0)))
        log_ms += draw(st.sampled_from([0, 50, 400, 6_000]))
        if draw(st.booleans()):
            inputs.append(Input(len(inputs), log_ms, TimePassed()))
    return sources, inputs


@dataclass
class Worker:
    """What a worker keeps: the service, its windows, and what a checkpoint has written of them."""

    service: Service | None = None
    windows: dict[int, Window] = field(default_factory=dict)
    stored: Service | None = None
    stored_windows: dict[int, Window] = field(default_factory=dict)

    def take(self, item: Input) -> None:
        if self.service is None:
            if not isinstance(item.body, SliceSeen) or not item.body.cells:
                return
            self.service = start_service(SERVICE, item.offset, item.log_ms)
        self.service, effects = fold(self.service, item)
        for effect in effects:
            if isinstance(effect, WindowAdded):
                window = self.windows.get(effect.pane) or Window(SERVICE, effect.pane, applied=-1)
                self.windows[effect.pane] = add(window, effect.cells, applied=item.offset)

    def checkpoint(self, windows_written: int | None = None) -> None:
        """Write windows, then the service; a crash may come after any number of windows."""
        dirty = sorted(self.windows)
        for pane in dirty if windows_written is None else dirty[:windows_written]:
            self.stored_windows[pane] = self.windows[pane]
        if windows_written is None:
            self.stored = self.service


def counted(worker: Worker) -> dict[tuple[str, int], tuple[int, int]]:
    """What an operator would see: windows and the slices still open, requests and errors by version and pane."""
    found: dict[tuple[str, int], tuple[int, int]] = {}
    cells = [cell for window in worker.windows.values() for cell in window.cells]
    if worker.service is not None:
        cells += [cell for held in worker.service.open.values() for cell in held.cells]
    for cell in cells:
        n, errors = found.get((cell.version, cell.pane), (0, 0))
        found[cell.version, cell.pane] = (n + cell.n, errors + cell.errors)
    return found


def expected(sources: list[list[Event]]) -> dict[tuple[str, int], tuple[int, int]]:
    """The same, counted from the events."""
    found: dict[tuple[str, int], tuple[int, int]] = {}
    for event in (event for events in sources for event in events):
        n, errors = found.get((event.version, event.pane), (0, 0))
        found[event.version, event.pane] = (n + 1, errors + event.error)
    return found
