"""The rules that exactness rests on, each with a way to break it. Without it, some schedule must fail."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from unittest import mock

import msgspec
import numpy as np

from schemas.inputs import decode_input
from schemas.report import Report
from streams.ingest import commits, engine, loop, outbox, slices, source, sums
from streams.ingest.bounds import Admission
from streams.ingest.decoder import RecordDecoder
from streams.ingest.grouping import fold as group
from streams.ingest.records import Records
from streams.ingest.settings import IngestSettings
from streams.ingest.source import consumer_properties
from streams.ingest.topic_identity import TopicWatch
from streams.service_partition import partition_of
from streams.worker import (
    beats,
    checkpoint,
    fold,
    inputs,
    partition,
    positions,
    restore,
    service_windows,
    state,
    table_keys,
    take_over,
)
from streams.worker.broker_port import SendFailedError
from streams.worker.state import Service
from streams.worker.stored_records import header_of
from tests.simulator import worker_port
from tests.simulator.ingest_process import IngestProcess

Patch = Callable[[ExitStack], None]


@dataclass(frozen=True)
class Rule:
    """One rule by name, and what removes it."""

    name: str
    remove: Patch


def _set(owner: Any, name: str, value: Any) -> Patch:
    return lambda patches: patches.enter_context(mock.patch.object(owner, name, value))


# -------------------------------------------------------------------------------------------------- ingest: reports


def _send_only_full(self: engine.Engine, encoded: list[bytes]) -> None:
    for value in encoded:
        report = decode_input(value)
        if isinstance(report, Report) and report.cells:
            number = self.commits.sent()
            where = partition_of(report.cells[0].service, self._settings.input_partitions)
            self._outbox.send(self._settings.inputs_topic, value, number=number, partition=where, key=None)


def _empty_unsent(patches: ExitStack) -> None:
    patches.enter_context(mock.patch.object(engine.Engine, "_send", _send_only_full))


def _never_repeated(patches: ExitStack) -> None:
    def flush(self: Any, *, now_s: float, now_ms: int, final: bool = False) -> None:
        del now_ms, final
        for number, one in sorted(self._slices.open.items()):
            shown = self._shown.get(number)
            if shown is None or shown.through_offset != one.through_offset:
                shown = engine._Shown(one.through_offset, self._encode(one), changed_s=now_s, sent_s=now_s)
                self._shown[number] = shown
                self._send(shown.encoded)

    patches.enter_context(mock.patch.object(engine.Engine, "flush", flush))


def _without_final_prefix(patches: ExitStack) -> None:
    make = engine.Engine.take

    def take(self: Any, records: Records) -> None:
        with mock.patch.object(engine.Engine, "_send", lambda _self, _encoded: None):
            make(self, records)

    patches.enter_context(mock.patch.object(engine.Engine, "take", take))


def _delta_reports(patches: ExitStack) -> None:
    """Only what is new since the last report."""

    def flush(self: Any, *, now_s: float, now_ms: int, final: bool = False) -> None:
        _flush(self, now_s=now_s, now_ms=now_ms, final=final)
        for one in self._slices.open.values():
            one.sums = sums.SliceSums()

    patches.enter_context(mock.patch.object(engine.Engine, "flush", flush))


_flush = engine.Engine.flush

# -------------------------------------------------------------------------------------------------- ingest: commits


def _commit_unacknowledged(patches: ExitStack) -> None:
    def allowed(self: Any) -> dict[int, int]:
        return {number: waiting[-1][1] for number, waiting in self._waiting.items() if waiting}

    patches.enter_context(mock.patch.object(commits.Commits, "allowed", allowed))


def _commit_inside_slice(patches: ExitStack) -> None:
    def flush(self: Any, *, now_s: float, now_ms: int, final: bool = False) -> None:
        _flush(self, now_s=now_s, now_ms=now_ms, final=final)
        for number, one in self._slices.open.items():
            self.commits.opened(number, one.through_offset + 1)

    patches.enter_context(mock.patch.object(engine.Engine, "flush", flush))


def _delivery_error_ignored(patches: ExitStack) -> None:
    def delivered(self: Any, number: int, size: int, sent_s: float, error: Any, message: Any) -> None:
        del sent_s, error, message
        self.waiting_bytes -= size
        self._on_acknowledged(number)

    patches.enter_context(mock.patch.object(outbox.KafkaOutbox, "_delivered", delivered))
    # Else the producer itself would take nothing more.
    patches.enter_context(mock.patch.object(outbox, "_GAPLESS", False))


# ------------------------------------------------------------------------------------------------- ingest: slices

_cut = slices.Slices._cut
_build = RecordDecoder.build
_turn = IngestProcess.turn


def _clocks(patches: ExitStack) -> list[Any]:
    """The clock of the process whose turn it is."""
    current: list[Any] = [None]

    def turn(self: IngestProcess, fetch_max: int) -> None:
        current[0] = self
        _turn(self, fetch_max)

    patches.enter_context(mock.patch.object(IngestProcess, "turn", turn))
    return current


def _at(records: Records, now_ms: int) -> Records:
    return Records(records.raw, records.source, records.offset, np.full(len(records), now_ms), records.key_of)


def _cut_by_wall_clock(patches: ExitStack) -> None:
    current = _clocks(patches)

    def cut(self: Any, records: Records) -> Any:
        return _cut(self, _at(records, current[0].time.time_ns() // 1_000_000))

    patches.enter_context(mock.patch.object(slices.Slices, "_cut", cut))


def _limits_by_wall_clock(patches: ExitStack) -> None:
    current = _clocks(patches)

    def build(self: Any, records: Records) -> Any:
        return _build(self, _at(records, current[0].time.time_ns() // 1_000_000))

    patches.enter_context(mock.patch.object(RecordDecoder, "build", build))


def _without_running_maximum(patches: ExitStack) -> None:
    fake = mock.MagicMock(wraps=np)
    fake.maximum = mock.MagicMock(side_effect=lambda a, _b: a)
    fake.maximum.accumulate = lambda a: a
    patches.enter_context(mock.patch.object(slices, "np", fake))

    def add(self: Any, records: Records, columns: Any) -> Any:
        # A slice that is not the open one opens a new one, forwards or backwards.
        stretches, rows = self._cut(records)
        closed, into = [], []
        for stretch in stretches:
            now = self.open.get(stretch.source)
            if now is None or stretch.slice_no != now.slice_no:
                if now is not None:
                    closed.append(slices.Closed(now, stretch.first_offset))
                now = slices.Slice(
                    stretch.source, stretch.slice_no, stretch.first_offset, stretch.through_offset, stretch.newest_ms
                )
                self.open[stretch.source] = now
            now.through_offset, now.newest_ms = stretch.through_offset, stretch.newest_ms
            into.append(now.sums)
        group(columns, rows, into)
        return closed

    patches.enter_context(mock.patch.object(slices.Slices, "add", add))


def _two_lengths(patches: ExitStack) -> None:
    def turn(self: IngestProcess, fetch_max: int) -> None:
        with mock.patch.object(slices, "SLICE_MS", 250 if self.member % 2 else 500):
            _turn(self, fetch_max)

    patches.enter_context(mock.patch.object(IngestProcess, "turn", turn))


def _create_time_taken(patches: ExitStack) -> None:
    patches.enter_context(mock.patch.object(source, "TIMESTAMP_LOG_APPEND_TIME", 1))


def _bounds_of_the_process(patches: ExitStack) -> None:
    kept: dict[int, Admission] = {}
    current = _clocks(patches)

    def admission(services: frozenset[str]) -> Admission:
        return kept.setdefault(current[0].member if current[0] else 0, Admission(services))

    patches.enter_context(mock.patch.object(sums, "Admission", admission))


def _one_topic_for_ever(patches: ExitStack) -> None:
    make = slices.Slice.reports

    def reports(self: slices.Slice, _topic_id: str, input_partitions: int) -> Any:
        return make(self, "topic", input_partitions)

    patches.enter_context(mock.patch.object(slices.Slice, "reports", reports))


def _topic_not_watched(patches: ExitStack) -> None:
    patches.enter_context(mock.patch.object(TopicWatch, "confirmed", lambda _self, _now_s: True))


def _start_at_latest(patches: ExitStack) -> None:
    make = consumer_properties

    def properties(settings: IngestSettings, *, member: str) -> dict[str, Any]:
        return make(settings, member=member) | {"auto.offset.reset": "latest"}

    patches.enter_context(mock.patch.object(loop, "consumer_properties", properties))


def _gaps_unsaid(patches: ExitStack) -> None:
    patches.enter_context(mock.patch.object(loop.IngestLoop, "_look_for_gaps", lambda _self, _records: None))


# ---------------------------------------------------------------------------------------------------- worker: fold

_longest = beats._longest


def _any_replaces(held: Any, key: Any, offered: Any) -> Any:
    return held | {key: offered} if offered.cells or key in held else held


def _first_of_equal_wins(held: Any, key: Any, offered: Any) -> Any:
    present = held.get(key)
    if present is not None and offered.cells and offered.through_offset == present.through_offset:
        return held | {key: msgspec.structs.replace(present, last_input=offered.last_input)}
    return _longest(held, key, offered)


def _judged_at_once(stored: state.Stored) -> list[int]:
    return sorted(stored.shown_ms)


def _grace_never_ends(patches: ExitStack) -> None:
    patches.enter_context(mock.patch.object(beats, "GRACE_MS", 1 << 50))


_take_complete = beats.take_complete


def _folded_before_a_later_slice(service: Service) -> Any:
    stored = service.stored
    sources = {
        name: msgspec.structs.replace(known, newest_slice=known.newest_slice + 1)
        for name, known in stored.sources.items()
    }
    bumped = msgspec.structs.replace(service, stored=msgspec.structs.replace(stored, sources=sources))
    after, panes = _take_complete(bumped)
    back = {
        name: msgspec.structs.replace(known, newest_slice=stored.sources[name].newest_slice)
        for name, known in after.stored.sources.items()
    }
    return msgspec.structs.replace(after, stored=msgspec.structs.replace(after.stored, sources=back)), panes


def _folded_before_it_is_judged(service: Service) -> Any:
    judged = service.stored.judged
    free = msgspec.structs.replace(service, stored=msgspec.structs.replace(service.stored, judged=1 << 60))
    after, panes = _take_complete(free)
    return msgspec.structs.replace(after, stored=msgspec.structs.replace(after.stored, judged=judged)), panes


_close = beats.close


def _judged_not_remembered(service: Service, beat: int) -> Any:
    after, cells = _close(service, beat)
    return msgspec.structs.replace(after, stored=msgspec.structs.replace(after.stored, unfolded={})), cells


def _forgets(**forgotten: Any) -> Patch:
    """A stored service lacks something that its fold reads."""
    make = restore._take

    def take(restored: Any, key: Any, raw: bytes) -> None:
        make(restored, key, raw)
        for name, service in restored.services.items():
            stored = msgspec.structs.replace(service.stored, **forgotten)
            restored.services[name] = Service(stored=stored)

    return _set(restore, "_take", take)


def _folded_forgotten(patches: ExitStack) -> None:
    make = restore._take

    def take(restored: Any, key: Any, raw: bytes) -> None:
        make(restored, key, raw)
        for name, service in restored.services.items():
            sources = {n: msgspec.structs.replace(s, folded=-1) for n, s in service.stored.sources.items()}
            restored.services[name] = Service(stored=msgspec.structs.replace(service.stored, sources=sources))

    patches.enter_context(mock.patch.object(restore, "_take", take))


def _shared_time(patches: ExitStack) -> None:
    make = partition.Partition._fold

    def folded(self: Any, name: str, item: Any, *, named: bool) -> Any:
        newest_ms = max((s.stored.now_ms for s in self.services.values()), default=0)
        later = msgspec.structs.replace(item, log_ms=max(item.log_ms, newest_ms + 1))
        return make(self, name, later, named=named)

    patches.enter_context(mock.patch.object(partition.Partition, "_fold", folded))


_add_windows = service_windows.ServiceWindows.add


def _cell_by_cell(self: Any, added: Any, *, applied: int) -> Any:
    cells = [state.WindowAdded(one.pane, (cell,)) for one in added for cell in one.cells]
    return set().union(*(_add_windows(self, [one], applied=applied) for one in cells))


def _handlers_raise(patches: ExitStack) -> None:
    async def handle(self: Any, arrived: Any) -> None:
        async with self._registry.turn:
            await self._take(arrived)

    async def decoded(_self: Any, arrived: Any) -> Any:
        return decode_input(arrived.value or b"")

    patches.enter_context(mock.patch.object(inputs.InputsAgent, "handle", handle))
    patches.enter_context(mock.patch.object(inputs.InputsAgent, "_decoded", decoded))


# --------------------------------------------------------------------------------- worker: effects, checkpoints


def _checkpoint_first(patches: ExitStack) -> None:
    async def process(self: Any, owned: Any, arrived: Any) -> None:
        record = await self._decoded(arrived)
        effects = []
        if record is not None:
            effects = owned.partition.apply(record, offset=arrived.offset, log_ms=arrived.log_ms)
        owned.partition.position.passed()
        if owned.checkpointer.due:
            await self.checkpoint(owned)
        await self._publisher.publish(owned.partition, effects)
        if not owned.partition.fenced and owned.partition.caught_up:
            await self._publisher.publish(owned.partition, owned.partition.fence())

    patches.enter_context(mock.patch.object(inputs.InputsAgent, "_process", process))


def _failed_writes_only_warn(patches: ExitStack) -> None:
    make = worker_port.WorkerPort.store

    async def store(self: Any, number: int, key: bytes, value: bytes | None) -> None:
        try:
            await make(self, number, key, value)
        except SendFailedError:
            return

    patches.enter_context(mock.patch.object(worker_port.WorkerPort, "store", store))


_phases = checkpoint.Checkpointer._phases


def _services_before_windows(patches: ExitStack) -> None:
    def phases(self: Any, everything: bool) -> Iterator[Any]:
        *first, ends = _phases(self, everything)
        yield from (*reversed(first), ends)

    patches.enter_context(mock.patch.object(checkpoint.Checkpointer, "_phases", phases))


def _cursor_unread(patches: ExitStack) -> None:
    def read_from(self: Any) -> int:
        return min(self.replay_from.values(), default=0)

    patches.enter_context(mock.patch.object(restore.Restored, "read_from", property(read_from)))


def _widened_by_other_clocks(patches: ExitStack) -> None:
    make = partition.Partition._window

    def window(self: Any, name: str, now_ms: int, *given: Any) -> None:
        make(self, name, now_ms + zlib.crc32(self.writer.encode()) % 2 * 40_000, *given)

    patches.enter_context(mock.patch.object(partition.Partition, "_window", window))


def _no_wider_window_found(patches: ExitStack) -> None:
    patches.enter_context(mock.patch.object(service_windows, "wider", lambda _pane: ()))


def _ends_first(patches: ExitStack) -> None:
    def phases(self: Any, everything: bool) -> Iterator[Any]:
        for name in self._services_due(everything):
            self._service_stored_at[name] = self._partition.services[name].stored.applied
        *first, ends = _phases(self, everything)
        yield from (ends, *first)

    patches.enter_context(mock.patch.object(checkpoint.Checkpointer, "_phases", phases))


def _same_writer(patches: ExitStack) -> None:
    make = partition.Partition.__init__

    def init(self: Any, number: int, **given: Any) -> None:
        make(self, number, **(given | {"writer": "w"}))

    patches.enter_context(mock.patch.object(partition.Partition, "__init__", init))


def _last_written_wins(patches: ExitStack) -> None:
    make = header_of
    count = itertools.count()

    def header(raw: bytes) -> Any:
        return msgspec.structs.replace(make(raw), applied=next(count))

    patches.enter_context(mock.patch.object(restore, "header_of", header))


def _others_keys_deleted(patches: ExitStack) -> None:
    make = checkpoint.Checkpointer.write

    async def write(self: Any, *, everything: bool = False) -> int:
        written = await make(self, everything=everything)
        for key in list(self._table.table):
            if table_keys.decode_key(key).writer != self._partition.writer:
                self._table.table.pop(key)
                await self._table.store(self._partition.number, key, None)
        return written

    patches.enter_context(mock.patch.object(checkpoint.Checkpointer, "write", write))


def _replay_from_applied(patches: ExitStack) -> None:
    patches.enter_context(
        mock.patch.object(state.Service, "replay_from", property(lambda self: self.stored.applied + 1))
    )


# ------------------------------------------------------------------------------------------- worker: recovery


def _seek_to_the_commit(patches: ExitStack) -> None:
    make = take_over.TakeOver._owned

    def owned(self: Any, number: int, *given: Any) -> Any:
        found = make(self, number, *given)
        commit = self._port._broker.inputs_commits.get(number)
        if commit is not None:
            found.partition.position.skip_to(commit)
        return found

    patches.enter_context(mock.patch.object(take_over.TakeOver, "_owned", owned))


def _open_slices_not_rebuilt(patches: ExitStack) -> None:
    patches.enter_context(mock.patch.object(partition, "rebuild", lambda service, _item: service))


def _folded_slices_rebuilt(patches: ExitStack) -> None:
    def rebuild(service: Service, item: Any) -> Service:
        if not isinstance(item.body, state.SliceSeen) or not item.body.cells:
            return service
        key = (item.body.source, item.body.slice_no)
        return Service(service.stored, service.open | {key: fold._open_slice(item.body, item.offset)})

    patches.enter_context(mock.patch.object(partition, "rebuild", rebuild))


def _redelivered_is_folded(patches: ExitStack) -> None:
    """Two guards stand here, the partition's and the fold's."""
    make = inputs.InputsAgent._take

    async def take(self: Any, arrived: Any) -> None:
        owned = self._registry.owned.get(arrived.partition)
        if owned is None or arrived.offset >= owned.partition.position.expected:
            await make(self, arrived)
            return
        for name, service in list(owned.partition.services.items()):
            applied = min(service.stored.applied, arrived.offset - 1)
            before = msgspec.structs.replace(service.stored, applied=applied)
            owned.partition.services[name] = msgspec.structs.replace(service, stored=before)
        await self._process(owned, arrived)

    patches.enter_context(mock.patch.object(inputs.InputsAgent, "_take", take))


def _holes_passed(patches: ExitStack) -> None:
    def arrival(self: Any, offset: int) -> positions.Arrival:
        if offset > self.expected:
            self.skip_to(offset)
        return positions.Arrival.NEXT if offset == self.expected else positions.Arrival.AGAIN

    patches.enter_context(mock.patch.object(positions.Position, "arrival", arrival))


def _outdated_routes(patches: ExitStack) -> None:
    patches.enter_context(mock.patch.object(partition.Partition, "outdated", lambda _self, _route: False))


def _routes_not_renewed(patches: ExitStack) -> None:
    patches.enter_context(mock.patch("releases.machine.renewal_due", lambda _release, now_ms: False))


RULES = (
    Rule("a slice's report is its full prefix", _delta_reports),
    Rule("empty reports are sent too", _empty_unsent),
    Rule("an unchanged slice is repeated", _never_repeated),
    Rule("the final prefix goes out before the next slice opens", _without_final_prefix),
    Rule("only what is acknowledged is committed", _commit_unacknowledged),
    Rule("the commit is the first offset of a slice", _commit_inside_slice),
    Rule("the first delivery error ends ingest", _delivery_error_ignored),
    Rule("nothing is written behind a refused report", _set(outbox, "_GAPLESS", False)),
    Rule("slices are cut by log-append time", _cut_by_wall_clock),
    Rule("a slice number is a running maximum", _without_running_maximum),
    Rule("a topic with the producers' time is refused", _create_time_taken),
    Rule("the length of a slice is part of the format", _two_lengths),
    Rule("bounds on names start empty at each slice", _bounds_of_the_process),
    Rule("limits on ts_ms compare with log time", _limits_by_wall_clock),
    Rule("the topic's id is part of a slice's identity", _one_topic_for_ever),
    Rule("a topic created anew is noticed", _topic_not_watched),
    Rule("reading never starts at the end", _start_at_latest),
    Rule("what retention deleted unread is said", _gaps_unsaid),
    Rule("a shorter or empty report never replaces a longer one", _set(beats, "_longest", _any_replaces)),
    Rule("of equal prefixes the last one counts", _set(beats, "_longest", _first_of_equal_wins)),
    Rule("a beat waits for all partitions or the grace", _set(beats, "closable", _judged_at_once)),
    Rule("a beat waits no longer than the grace", _grace_never_ends),
    Rule("a slice is folded when a later one was seen", _set(beats, "take_complete", _folded_before_a_later_slice)),
    Rule("a slice is folded when it was judged", _set(beats, "take_complete", _folded_before_it_is_judged)),
    Rule("what was judged of a graced slice is remembered", _set(beats, "close", _judged_not_remembered)),
    Rule("a topic's successor ends its last slices", _set(beats, "_succeed", lambda service, _source: service)),
    Rule("the state holds when beats were first shown", _forgets(shown_ms={})),
    Rule("the state holds what was judged and not folded", _forgets(unfolded={})),
    Rule("the state holds how far it is folded", _folded_forgotten),
    Rule("the state holds the time", _forgets(now_ms=0)),
    Rule("services share nothing that a fold reads", _shared_time),
    Rule("all folds of one input are applied together", _set(service_windows.ServiceWindows, "add", _cell_by_cell)),
    Rule("handlers never raise", _handlers_raise),
    Rule("publish first, then checkpoint", _checkpoint_first),
    Rule("a failed write ends the worker", _failed_writes_only_warn),
    Rule("windows, then services, then the cursor", _services_before_windows),
    Rule("a cursor stands for services not yet stored", _cursor_unread),
    Rule("every service is stored every ten seconds", _set(checkpoint, "REWRITE_S", 1e9)),
    Rule("windows become wider by the inputs' time", _widened_by_other_clocks),
    Rule("a wider window stands for all that it contains", _set(restore, "widest", lambda windows: windows)),
    Rule("what comes for a merged window goes to the wider one", _no_wider_window_found),
    Rule("a merged window ends after the wider one is stored", _ends_first),
    Rule("keys carry the writer", _same_writer),
    Rule("the value that has applied most wins", _last_written_wins),
    Rule("nobody deletes another writer's keys", _others_keys_deleted),
    Rule("recovery begins at the oldest open slice", _replay_from_applied),
    Rule("recovery never begins at the group's commit", _seek_to_the_commit),
    Rule("recovery rebuilds open slices", _open_slices_not_rebuilt),
    Rule("recovery does not rebuild folded slices", _folded_slices_rebuilt),
    Rule("a redelivered input changes nothing", _redelivered_is_folded),
    Rule("a hole in the inputs is read again", _holes_passed),
    Rule("no route below the published one", _outdated_routes),
    Rule("routes are published again", _routes_not_renewed),
)
