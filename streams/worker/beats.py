"""Beats: which slices of log time may be judged, and which may be folded into the windows.

A beat is the same slice number over all source partitions. It closes when every source partition of the service has
moved past it, or after a grace, so that one stuck partition cannot stop judgement.
"""

from __future__ import annotations

import msgspec

from schemas.report import SLICE_MS, Cell
from streams.worker.state import OpenSlice, Service, Source, Stored

GRACE_MS = 5_000
"""Inputs' log time that a beat waits for a source partition that does not move."""

REPLACED_MS = 60_000
"""A topic that was created anew has another id, and nothing ever follows the last slices of its predecessor. When they
have stood still for this long, reports of the new topic count as what follows."""


def see(service: Service, source: str, slice_no: int, open_slice: OpenSlice) -> Service:
    """Take a report: the longest prefix wins, and of equal ones the last.

    Parameters
    ----------
    service : before the report, with ``stored.now_ms`` already moved on.
    source : ``topic id/partition``.
    slice_no : the slice's number in that source partition.
    open_slice : the prefix; its cells may be empty, which never replaces content.
    """
    service = _succeed(service, source)
    stored = service.stored
    before = known = stored.sources.get(source)
    if known is None and not open_slice.cells:
        return service  # a source partition in which this service never occurred does not hold it up
    if known is None:
        known = Source(newest_slice=slice_no, moved_ms=stored.now_ms)
    elif slice_no > known.newest_slice:
        known = msgspec.structs.replace(known, newest_slice=slice_no, moved_ms=stored.now_ms)
    if known is not before:
        moved = msgspec.structs.replace(stored, sources=stored.sources | {source: known})
        service = msgspec.structs.replace(service, stored=moved)
    if slice_no <= known.folded:
        return service
    return Service(stored=service.stored, open=_longest(service.open, (source, slice_no), open_slice))


def _succeed(service: Service, source: str) -> Service:
    """Let a report of a new topic end the last slice of the same partition of the topic before it."""
    stored = service.stored
    topic, _, partition = source.rpartition("/")
    for name, slice_no in service.open:
        known = stored.sources[name]
        if slice_no < known.newest_slice or stored.now_ms - known.moved_ms < REPLACED_MS:
            continue
        other, _, number = name.rpartition("/")
        if number == partition and other != topic:
            ended = msgspec.structs.replace(known, newest_slice=slice_no + 1, moved_ms=stored.now_ms)
            stored = msgspec.structs.replace(stored, sources=stored.sources | {name: ended})
    return service if stored is service.stored else msgspec.structs.replace(service, stored=stored)


def _longest(
    held: dict[tuple[str, int], OpenSlice], key: tuple[str, int], offered: OpenSlice
) -> dict[tuple[str, int], OpenSlice]:
    present = held.get(key)
    if not offered.cells:
        return held  # not even where recovery begins: what it read there would be empty
    # An equal prefix replaces too: ingests sum in different batches, so the last bits may differ, and the last report
    # of the longest prefix is the one that a recovery reads.
    return held | {key: offered} if present is None or offered.through_offset >= present.through_offset else held


def show(service: Service) -> Service:
    """Note, for every pending beat, when a later slice was first shown."""
    stored = service.stored
    newest = max((s.newest_slice for s in stored.sources.values()), default=-1)
    pending = {beat for _, beat in service.open if stored.judged < beat < newest}
    missing = pending - stored.shown_ms.keys()
    if not missing:
        return service
    shown_ms = stored.shown_ms | dict.fromkeys(sorted(missing), stored.now_ms)
    return msgspec.structs.replace(service, stored=msgspec.structs.replace(stored, shown_ms=shown_ms))


def closable(stored: Stored) -> list[int]:
    """The pending beats that may be judged now, in order."""
    ready: list[int] = []
    for beat in sorted(stored.shown_ms):
        graced = stored.now_ms - stored.shown_ms[beat] >= GRACE_MS
        waiting = any(
            source.newest_slice <= beat and stored.now_ms - source.moved_ms < GRACE_MS
            for source in stored.sources.values()
        )
        if waiting and not graced:
            break
        ready.append(beat)
    return ready


def passed_ms(stored: Stored) -> int:
    """Log time up to which nothing more is waited for: what every moving partition has passed.

    A partition that has not moved for the grace does not hold time up, as it does not hold up a beat.
    """
    moving = [s.newest_slice for s in stored.sources.values() if stored.now_ms - s.moved_ms < GRACE_MS]
    return SLICE_MS * min(moving, default=0)


def close(service: Service, beat: int) -> tuple[Service, tuple[Cell, ...]]:
    """Close one beat: returns its cells, and remembers how much of each of its slices was judged."""
    stored = service.stored
    cells: list[Cell] = []
    sources, unfolded = dict(stored.sources), dict(stored.unfolded)
    # Sorted: after a recovery the slices are held in another order, and sums depend on it in their last bits.
    for name, slice_no in sorted(service.open):
        if slice_no != beat:
            continue
        held = service.open[name, slice_no]
        cells.extend(held.cells)
        source = sources[name]
        sources[name] = msgspec.structs.replace(source, through=max(source.through, held.through_offset))
        unfolded[name] = unfolded.get(name, {}) | {beat: _requests(held.cells)}
    stored = msgspec.structs.replace(
        stored,
        sources=sources,
        unfolded=unfolded,
        judged=beat,
        shown_ms={other: ms for other, ms in stored.shown_ms.items() if other != beat},
    )
    return msgspec.structs.replace(service, stored=stored), tuple(cells)


def take_complete(service: Service) -> tuple[Service, dict[int, tuple[Cell, ...]]]:
    """Take out every slice that is judged and followed by a later one; returns its cells by pane, for the windows.

    Windows answer questions about requests; what came with a unit serves the evidence alone and is left out of them.
    A slice that comes after its beat was judged is late: it is in the windows, not in the evidence, and counted.
    """
    stored = service.stored
    taken = [
        (name, slice_no)
        for name, slice_no in service.open
        if slice_no <= stored.judged and slice_no < stored.sources[name].newest_slice
    ]
    if not taken:
        return service, {}
    held, sources = dict(service.open), dict(stored.sources)
    unfolded = {name: dict(slices) for name, slices in stored.unfolded.items()}
    panes: dict[int, tuple[Cell, ...]] = {}
    late = stored.late
    for name, slice_no in sorted(taken):
        cells = held.pop((name, slice_no)).cells
        late += _requests(cells) - unfolded.get(name, {}).pop(slice_no, 0)
        sources[name] = msgspec.structs.replace(sources[name], folded=max(sources[name].folded, slice_no))
        for cell in cells:
            panes[cell.pane] = (*panes.get(cell.pane, ()), _for_windows(cell))
    stored = msgspec.structs.replace(
        stored, sources=sources, late=late, unfolded={name: slices for name, slices in unfolded.items() if slices}
    )
    return Service(stored=stored, open=held), panes


def _requests(cells: tuple[Cell, ...]) -> int:
    return sum(cell.n for cell in cells)


def _for_windows(cell: Cell) -> Cell:
    """What units and vectors say is for the evidence alone."""
    plain = cell.units is None and cell.scatter is None
    return cell if plain else msgspec.structs.replace(cell, units=None, scatter=None)
