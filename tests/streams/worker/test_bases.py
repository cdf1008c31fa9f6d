"""The fold tells ingest the basis of a joint gate when it is learned, and its end; windows never see vectors."""

from __future__ import annotations

import pytest

from releases.machine_io import Decide
from schemas.basis import decode_basis
from schemas.command import Command, Verb
from schemas.decision import State
from schemas.inputs import Forwarded
from schemas.plan import parse_plan
from streams.offline.simulate import START_MS
from streams.offline.traffic import Shares, Traffic
from streams.topics import BASES
from streams.worker.fold import Effect, fold, start_service
from streams.worker.state import Asked, BasisLearned, Input, Service, SliceSeen, WindowAdded
from tests.streams.offline.worlds import PLAN, world
from tests.streams.worker.inputs_log import Log, report
from tests.streams.worker.lifetimes import Lifetime
from tests.streams.worker.memory_broker import Crash, MemoryBroker

JOINT = PLAN.replace("margin: 20%}", "margin: 20%}\n  - {name: joint, of: [latency_ms, values.tokens_out]}")


class Running:
    """A release with a joint gate, and ingest that counts in its basis."""

    def __init__(self, text: str = JOINT) -> None:
        self.plan = parse_plan(text)
        self.traffic = Traffic(world(metrics=self.plan), self.plan, seed=1, start_ms=START_MS)
        self.service: Service = start_service("chat", 0, START_MS)
        self.inputs: list[Input] = []
        self.effects: list[tuple[int, Effect]] = []
        start = Command("c1", "chat", Verb.START, "ann", "try", START_MS, plan=self.plan)
        self.take(Input(0, START_MS, Asked(start)))

    def take(self, item: Input) -> None:
        self.inputs.append(item)
        self.service, effects = fold(self.service, item)
        self.effects += [(item.offset, effect) for effect in effects]
        for effect in effects:
            if isinstance(effect, BasisLearned):
                self.traffic.count_in(effect.basis)

    def run(self, seconds: int) -> Running:
        for _ in range(seconds):
            at = len(self.inputs)
            heard = self.traffic.step(Shares((("v2", 200_000),), "salt"))
            seen = SliceSeen("topic/0", START_MS // 250 + 4 * at, 100 * at, tuple(heard.cells))
            self.take(Input(at, START_MS + 1_000 * at, seen))
        return self

    @property
    def bases(self) -> list[tuple[int, BasisLearned]]:
        return [(offset, effect) for offset, effect in self.effects if isinstance(effect, BasisLearned)]


def test_the_basis_is_told_once_and_its_end() -> None:
    """One basis for the release, numbered by log time, and a tombstone with the decision that ends the release."""
    running = Running().run(20)
    ((learned_at, learned),) = running.bases
    basis = learned.basis
    assert basis is not None and basis.release_id.startswith("chat-")
    assert START_MS < basis.number <= START_MS + 1_000 * learned_at
    abort = Command("c2", "chat", Verb.ABORT, "ann", "enough", START_MS)
    running.take(Input(len(running.inputs), START_MS + 21_000, Asked(abort)))
    ended = running.bases[-1]
    assert ended == (len(running.inputs) - 1, BasisLearned("chat", None)) and len(running.bases) == 2
    decided = [e.decision for _, e in running.effects if isinstance(e, Decide)]
    assert decided[-1].state is State.ABORTED


def test_a_release_that_ends_before_it_has_learned_says_nothing() -> None:
    """Without a basis there is nothing to take back."""
    running = Running().run(1)
    abort = Command("c2", "chat", Verb.ABORT, "ann", "enough", START_MS)
    running.take(Input(2, START_MS + 2_000, Asked(abort)))
    assert running.bases == []


def test_folding_again_tells_the_same_basis() -> None:
    """After a crash the same inputs give the same record: ingest hears the same basis again, or nothing new."""
    running, again = Running().run(12), start_service("chat", 0, START_MS)
    effects: list[tuple[int, Effect]] = []
    for item in running.inputs:
        again, found = fold(again, item)
        effects += [(item.offset, effect) for effect in found]
    assert effects == running.effects
    repeated, nothing = fold(again, running.inputs[-1])
    assert (repeated, nothing) == (again, ())


def test_windows_do_not_carry_vectors() -> None:
    """Cells have vectors once the basis is known; what goes into windows has none."""
    running = Running().run(15)
    seen = [cell for item in running.inputs if isinstance(item.body, SliceSeen) for cell in item.body.cells]
    assert any(cell.scatter is not None for cell in seen)
    added = [cell for _, effect in running.effects if isinstance(effect, WindowAdded) for cell in effect.cells]
    assert added and all(cell.scatter is None for cell in added)


def test_a_plan_without_the_gate_has_no_basis() -> None:
    """Nothing is told and nothing is counted that no gate asks for."""
    running = Running(PLAN).run(12)
    assert running.bases == []
    assert all(c.scatter is None for i in running.inputs if isinstance(i.body, SliceSeen) for c in i.body.cells)


def recorded() -> Log:
    """The inputs of a release with a joint gate, from its start to its abortion, as they stand in the log."""
    running = Running().run(12)
    log: Log = []
    for item in running.inputs:
        body = item.body
        if isinstance(body, Asked):
            log.append((Forwarded(body.command), item.log_ms))
        elif isinstance(body, SliceSeen):
            cells = list(body.cells)
            log.append(
                (report(source=0, slice_no=body.slice_no, through=body.through_offset, cells=cells), item.log_ms)
            )
    abort = Command("c2", "chat", Verb.ABORT, "ann", "enough", START_MS)
    return [*log, (Forwarded(abort), log[-1][1] + 1_000)]


def told(broker: MemoryBroker) -> list[bytes | None]:
    return [sent.value for sent in broker.sent if sent.topic == BASES]


def test_a_worker_that_crashes_at_any_write_tells_the_same() -> None:
    """What stands on `canary.bases` after a crash is what an undisturbed worker wrote: one basis, and then none."""
    log, calm = recorded(), MemoryBroker()
    Lifetime(calm, log).read()
    basis, end = told(calm)
    assert basis is not None and decode_basis(basis).service == "chat" and end is None
    for crash_after in range(len(calm.writes)):
        broker = MemoryBroker(crash_after=crash_after)
        with pytest.raises(Crash):
            Lifetime(broker, log).read()
        broker.crash_after = None
        Lifetime(broker, log).read()
        assert set(told(broker)) == {basis, None} and told(broker)[-1] is None
