"""The fold of one service: a pure function of the records of ``canary.inputs``. It knows nothing of Kafka.

Folding the same records again gives the same state, the same decisions and the same windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

import msgspec

from detectors.blocks import due
from detectors.summaries.summary import Summary
from detectors.units_seen import UnitsSeen
from releases.asking import ask
from releases.judge import JudgeState, asked, basis_of, begin_step, start_judge, ticked
from releases.judge import observe as observe_beat
from releases.lowering import lowering
from releases.machine import step
from releases.machine_io import Commanded, Decide, Fenced, Judged, MachineInput, Publish, Refuse, Ticked
from releases.release_state import Release, ReleaseState
from releases.telling import told, told_judged
from schemas.basis import Basis
from schemas.inputs import Forwarded, Tick
from schemas.inputs import Input as Record
from schemas.report import SLICE_MS, Cell, Report
from streams.worker import beats
from streams.worker.state import (
    Asked,
    BasisLearned,
    Input,
    OpenSlice,
    Service,
    SliceSeen,
    Stored,
    TimePassed,
    WindowAdded,
)

Effect = WindowAdded | BasisLearned | Decide | Publish | Refuse

JUDGE_EVERY_MS = 1_000
"""Without new evidence the judge speaks this often, as long as reports arrive: that is what keeps a lease alive."""


def start_service(name: str, offset: int, log_ms: int) -> Service:
    """A service seen for the first time, in the input at ``offset``."""
    return Service(stored=Stored(service=name, created=offset, release=ReleaseState(service=name), now_ms=log_ms))


def named_in(record: Record) -> dict[str, tuple[Cell, ...]]:
    """The services that a record names, and that it therefore creates when they are new, each with its cells."""
    match record:
        case Report(cells=cells):
            named: dict[str, list[Cell]] = {}
            for cell in cells:
                named.setdefault(cell.service, []).append(cell)
            return {service: tuple(its) for service, its in named.items()}
        case Forwarded(command=command):
            return {command.service: ()}
        case Tick():
            return {}
        case _:
            assert_never(record)


def input_of(
    record: Record, named: Mapping[str, tuple[Cell, ...]], *, offset: int, log_ms: int, service: str
) -> Input | None:
    """One record as one service sees it, or None when it does not concern the service.

    Parameters
    ----------
    named : what :func:`named_in` says of the record, asked once for all services.
    """
    match record:
        case Report():
            source = f"{record.topic_id}/{record.source}"
            body = SliceSeen(source, record.slice_no, record.through_offset, named.get(service, ()))
            return Input(offset=offset, log_ms=log_ms, body=body)
        case Forwarded(command=command):
            return Input(offset=offset, log_ms=log_ms, body=Asked(command)) if command.service == service else None
        case Tick():
            return Input(offset=offset, log_ms=log_ms, body=TimePassed())
        case _:
            assert_never(record)


def fold(service: Service, item: Input) -> tuple[Service, tuple[Effect, ...]]:
    """Apply one input to one service.

    Parameters
    ----------
    service : everything known of the service.
    item : an input; one that was applied before (``offset <= applied``) or that is older than the service changes
        nothing.

    Returns
    -------
    The service afterwards, and what has to be done: windows to add to, decisions and routes to publish. All windows
    that the input adds to come together, one effect per pane.
    """
    if item.offset <= service.stored.applied or item.offset < service.stored.created:
        return service, ()
    now_ms = max(service.stored.now_ms, item.log_ms)
    service = _with(service, now_ms=now_ms, applied=item.offset)
    if isinstance(item.body, SliceSeen):
        body = item.body
        seen = beats.see(service, body.source, body.slice_no, _open_slice(body, item.offset))
        # A longer prefix of a slice that is open already shows nothing new of any beat.
        moved = seen.stored.sources is not service.stored.sources or len(seen.open) > len(service.open)
        service = beats.show(seen) if moved else seen
    effects: tuple[Effect, ...] = ()
    match item.body:
        case SliceSeen():
            service, effects = _judge(service, item)
        case TimePassed():
            if service.stored.judge is not None and active(service.stored.release) is not None:
                service = _with(service, judge=ticked(service.stored.judge, now_ms))
            service, effects = (
                _judge(service, item) if beats.closable(service.stored) else _step(service, Ticked(item.offset))
            )
        case Asked(command=command):
            service, effects = _step(service, Commanded(item.offset, command))
        case _:
            assert_never(item.body)
    service, panes = beats.take_complete(service)
    return service, (*(WindowAdded(pane, cells) for pane, cells in sorted(panes.items())), *effects)


def rebuild(service: Service, item: Input) -> Service:
    """Read an input again that the stored state already contains: only slices that are still open are rebuilt."""
    if not isinstance(item.body, SliceSeen) or item.offset < service.stored.created:
        return service
    source = service.stored.sources.get(item.body.source)
    if source is None or item.body.slice_no <= source.folded:
        return service
    seen = beats.see(service, item.body.source, item.body.slice_no, _open_slice(item.body, item.offset))
    return msgspec.structs.replace(seen, stored=service.stored)


def fenced(service: Service, *, epoch: int, release_id: str) -> tuple[Service, tuple[Effect, ...]]:
    """At take-over, after all inputs: a route up to ``epoch`` stands published; ours must be newer (rule 16)."""
    return _step(service, Fenced(epoch=epoch, release_id=release_id))


def _with(service: Service, **changes: object) -> Service:
    return msgspec.structs.replace(service, stored=msgspec.structs.replace(service.stored, **changes))


def _open_slice(seen: SliceSeen, offset: int) -> OpenSlice:
    return OpenSlice(through_offset=seen.through_offset, last_input=offset, cells=seen.cells)


def _judge(service: Service, item: Input) -> tuple[Service, tuple[Effect, ...]]:
    """Close the beats that are ready, add them to the evidence, and let the release take one step on all of them."""
    ready = beats.closable(service.stored)
    release = active(service.stored.release)
    judge = service.stored.judge
    requests: dict[str, int] = {}
    for beat in ready:
        service, cells = beats.close(service, beat)
        for cell in cells:
            requests[cell.version] = requests.get(cell.version, 0) + cell.n
        if release is not None and judge is not None:
            units = UnitsSeen.of_cells(cells)
            judge = observe_beat(release.plan, judge, _arms(cells), beat_end_ms=(beat + 1) * SLICE_MS, units=units)
    if release is None or judge is None:
        return service, ()
    if not ready and service.stored.now_ms - release.judged_ms < JUDGE_EVERY_MS:
        return service, ()
    passed_ms = beats.passed_ms(service.stored)
    if due(judge.blocks, passed_ms):
        judge = observe_beat(release.plan, judge, {}, beat_end_ms=passed_ms)
    learned = _learned(service.stored, release, judge)
    service = _with(service, judge=judge)
    service, effects = _step(service, _judged(service.stored, release, judge, requests, item.offset))
    return service, (*learned, *effects)


def _learned(before: Stored, release: Release, judge: JudgeState) -> tuple[BasisLearned, ...]:
    """What ingest has to be told: the basis, in the input in which the judge has learned it."""
    found = basis_of(release.plan, judge)
    if found is None or before.judge is None or basis_of(release.plan, before.judge) is not None:
        return ()
    return (BasisLearned(before.service, Basis(before.service, release.id, found.number, found.coordinates)),)


def _judged(stored: Stored, release: Release, judge: JudgeState, requests: dict[str, int], offset: int) -> Judged:
    share_ppm, said = ask(release, judge, now_ms=stored.now_ms)
    return Judged(
        seq=offset,
        verdict=said.verdict,
        for_share_ppm=share_ppm,
        reason="",
        canary_requests={version: requests.get(version, 0) for version in release.plan.canaries},
        baseline_requests=requests.get(release.plan.baseline, 0),
        through=_through(stored),
        fail_action=said.fail_action,
        failed=said.failed,
        lowering=lowering(release, judge.harm),
    )


def active(state: ReleaseState) -> Release | None:
    """The release that is under way."""
    return state.release if state.release is not None and state.release.active else None


def _arms(cells: tuple[Cell, ...]) -> dict[tuple[str, str], Summary]:
    """The summaries of one beat by version and segment."""
    groups: dict[tuple[str, str], list[Summary]] = {}
    for cell in cells:
        groups.setdefault((cell.version, cell.segment), []).append(Summary.of_cell(cell))
    return {key: Summary.merge_all(group) for key, group in groups.items()}


def _through(stored: Stored) -> dict[str, int]:
    """Per partition of the source topic: the last offset that the evidence contains."""
    through: dict[str, int] = {}
    for name, source in stored.sources.items():
        partition = name.rpartition("/")[2]
        through[partition] = max(through.get(partition, -1), source.through)
    return {partition: offset for partition, offset in through.items() if offset >= 0}


def _step(service: Service, given: MachineInput) -> tuple[Service, tuple[Effect, ...]]:
    """Let the release take one step. A new release begins new evidence, a new weight that since the last step."""
    before, judge, now_ms = service.stored.release.release, service.stored.judge, service.stored.now_ms
    state, effects = step(service.stored.release, given, now_ms)
    if before is not None and judge is not None and any(isinstance(effect, Decide | Refuse) for effect in effects):
        # Words cost as much as the evidence, and few inputs decide: the step that does is taken again with them.
        worded = service.stored.release
        if isinstance(given, Judged):
            given = told_judged(given, before, judge)
        else:
            worded = msgspec.structs.replace(worded, release=told(before, judge))
        state, effects = step(worded, given, now_ms)
    after = state.release
    if after is not None and (before is None or before.id != after.id):
        judge = start_judge(after.plan)
    elif after is not None and before is not None and judge is not None and after.step_since_ms != before.step_since_ms:
        judge = begin_step(after.plan, judge)
    for effect in effects:
        if isinstance(effect, Publish) and judge is not None:
            judge = asked(judge, effect.route)
    return _with(service, release=state, judge=judge), (*effects, *_unlearned(service.stored, state))


def _unlearned(before: Stored, after: ReleaseState) -> tuple[BasisLearned, ...]:
    """A release that had a basis has ended: nobody needs vectors of the service any more."""
    release, judge = active(before.release), before.judge
    if release is None or judge is None or basis_of(release.plan, judge) is None:
        return ()
    still = active(after)
    return () if still is not None and still.id == release.id else (BasisLearned(before.service, None),)
