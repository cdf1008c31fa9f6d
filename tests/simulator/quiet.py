"""The end of a schedule: faults stop, everything is read, and the books must balance. Then a new worker starts."""

from __future__ import annotations

import base64
from collections import Counter

from schemas.dead_letter import decode_dead_letter
from schemas.report import SLICE_MS
from streams.worker.partition import Partition
from streams.worker.restore import restore
from streams.worker.stored_records import service_record
from streams.worker.tiers import edges_at
from tests.simulator.actions import ACTIONS
from tests.simulator.broker import INPUT_PARTITIONS, SOURCE_PARTITIONS
from tests.simulator.reference import Broken, counted, placed, stored_form
from tests.simulator.schedule import Step
from tests.simulator.truth import SERVICES, Counts, Key, by_widest, without_names
from tests.simulator.worker_process import WorkerProcess
from tests.simulator.world import World

ROUNDS_MAX = 400
QUIET_S = (1, 1, *(11,) * 6, *(2,) * 12)
RECOVERY_READS_S = 16.0
"""After this long without faults nothing older than this has to be read by a recovery."""


def come_to_rest(world: World) -> None:
    """Let all faults end and time pass, and check the books; then kill the workers and check them again."""
    _heal(world)
    _drain(world)
    for turn, passed_s in enumerate(QUIET_S):
        if turn in (1, len(QUIET_S) - 2):
            _markers(world)
        world.broker.pass_ms(passed_s * 1_000)
        ACTIONS["tick"](world, Step("tick"))
        _drain(world)
    balance(world)
    _recovery_is_short(world)
    for process in world.workers:
        process.end("crashed")
    world.bury()
    world.new_worker()
    ACTIONS["worker_rebalance"](world, Step("worker_rebalance"))
    _drain(world)
    balance(world)


def _markers(world: World) -> None:
    """A later slice in every source partition, of one service: what came before must be folded."""
    for source in range(SOURCE_PARTITIONS):
        world.truth.append(source, SERVICES[0], source, error_rate=0.0)


def _heal(world: World) -> None:
    for process in world.ingests[1:]:
        process.crash()
    for zombie in world.workers[1:]:
        zombie.end("crashed")
    world.bury()
    if not world.ingests:
        world.new_ingest()
    if not world.workers:
        world.new_worker()
    ACTIONS["ingest_rebalance"](world, Step("ingest_rebalance"))
    ACTIONS["worker_rebalance"](world, Step("worker_rebalance"))


def _drain(world: World) -> None:
    """Work until nobody has anything to do."""
    for _ in range(ROUNDS_MAX):
        if not (_ingest_moves(world) | _worker_moves(world)):
            return
    raise Broken("the processes do not come to rest")


def _ingest_moves(world: World) -> bool:
    if not world.ingests:
        world.new_ingest()
        ACTIONS["ingest_rebalance"](world, Step("ingest_rebalance"))
    (process,) = world.ingests
    before = process.consumer.places()
    process.turn(100)
    moved = bool(process.producer.waiting()) or process.consumer.places() != before
    while process.ended is None and (places := process.producer.waiting()):
        process.producer.write(places[0])
    ended = process.ended is not None
    world.check()
    return moved or ended


def _worker_moves(world: World) -> bool:
    if not world.workers:
        world.new_worker()
        ACTIONS["worker_rebalance"](world, Step("worker_rebalance"))
    (process,) = world.workers
    moved = False
    while process.ended is None and _one_move(process):
        moved = True
    ended = process.ended is not None
    world.check()
    return moved or ended


def _one_move(process: WorkerProcess) -> bool:
    if writes := process.port.choices():
        process.perform(writes[0])
        return True
    return process.feed_command() or any(process.feed_input(number) for number in range(INPUT_PARTITIONS))


def balance(world: World) -> None:
    """Every acknowledged event counted once, in the undisturbed fold and in the worker; everything published."""
    (process,) = world.workers
    for number, partition in enumerate(world.reference.partitions):
        live = process.registry.owned[number].partition
        if not live.caught_up:
            raise Broken(f"partition {number} is read to {live.position.expected} and not to its end")
        if counted(live) != counted(partition):
            raise Broken(f"partition {number}: the worker's counts are not those of its inputs")
        _same_states(world, process, number)
    world.reference.ledger()
    _each_event_once(world)
    _published(world)
    _letters(world)
    _folded(world)


def _same_states(world: World, process: WorkerProcess, number: int) -> None:
    live, fresh = process.registry.owned[number].partition, world.reference.partitions[number]
    if live.stuck or live.services.keys() != fresh.services.keys():
        raise Broken(f"partition {number}: services {sorted(live.services)}, stuck {live.stuck}")
    for name, service in live.services.items():
        if stored_form(service_record(service)) != world.reference.state(name, service.stored.applied):
            raise Broken(f"{name}: the state in memory is not the fold of the inputs")


def _each_event_once(world: World) -> None:
    partitions = world.reference.partitions
    found, least, most = Counter[Key](), Counter[Key](), Counter[Key]()
    for partition in partitions:
        found += counted(partition)
        least += placed(world.truth.least(), partition)
        most += placed(world.truth.counts, partition)
    if world.flavour.names_bounded:
        # Who bears a name that was folded into another is on that one's clock.
        oldest = max(_oldest_kept(partition) for partition in partitions)
        found, least, most = (_since(counts, oldest) for counts in (found, world.truth.least(), world.truth.counts))
        if missing := without_names(least) - without_names(found):
            raise Broken(f"by pane: missing {dict(missing)}")
        if surplus := without_names(found) - without_names(most):
            raise Broken(f"by pane: too many {dict(surplus)}")
    elif least - found or found - most:
        raise Broken(f"events missing: {dict(least - found)}, too many: {dict(found - most)}")


def _since(counts: Counts, oldest: int) -> Counts:
    return Counter({key: n for key, n in by_widest(counts).items() if key[3] >= oldest})


def _oldest_kept(partition: Partition) -> int:
    """The first pane that every service of a partition still keeps."""
    return max((edges_at(name, s.stored.now_ms).firsts[-1] for name, s in partition.services.items()), default=0)


def _published(world: World) -> None:
    audit = {record.value for record in world.broker.decisions.all()}
    if missing := world.reference.decided - audit:
        raise Broken(f"decided and never published: {sorted(missing)[:2]}")
    newest: dict[str, int] = {}
    for service, epoch in world.reference.routed.values():
        newest[service] = max(epoch, newest.get(service, 0))
    for service, route in world.newest_by_key().items():
        if route.epoch != newest[service]:
            raise Broken(
                f"{service}: epoch {route.epoch} would stay on the control topic, in force is {newest[service]}"
            )


def _letters(world: World) -> None:
    """Each record that could not be used has its dead letter."""
    letters = {
        (letter.topic, letter.partition, letter.offset, base64.b64decode(letter.raw_base64))
        for letter in (decode_dead_letter(record.value or b"") for record in world.broker.dead.all())
    }
    places = {letter[:3] for letter in letters}
    for number, offset in world.reference.refused:
        if ("canary.inputs", number, offset) not in places:
            raise Broken(f"input {offset} of partition {number} was dropped without a dead letter")
    for topic_id, source, offset in world.truth.refused - world.truth.may_be_lost:
        if ("inference.events", source, offset) not in places:
            raise Broken(f"event {offset} of {topic_id}/{source} was refused without a dead letter")


def _folded(world: World) -> None:
    """What lies before the newest slice of its source partition is in the windows."""
    if not world.clock_is_true:
        return  # time stands still for the inputs until the clock has caught up
    now_slice = world.broker.newest_ms // SLICE_MS
    for partition in world.reference.partitions:
        for name, service in partition.services.items():
            for source, slice_no in service.open:
                last = slice_no == service.stored.sources[source].newest_slice
                if not (last and source.startswith(world.broker.topic_id)):
                    raise Broken(f"{name}: slice {slice_no} of {source} is complete and not in the windows")
            if any(
                now_slice - known.newest_slice > 40
                for source, known in service.stored.sources.items()
                if source.startswith(world.broker.topic_id)
            ):
                raise Broken(f"{name}: nobody says that time has passed")


def _recovery_is_short(world: World) -> None:
    """A worker that started now would have to read little."""
    if not world.clock_is_true:
        return
    for number, log in enumerate(world.broker.inputs):
        items = [(r.key or b"", r.value) for r in world.broker.changelog[number].all() if r.value is not None]
        place = restore(dict(items).items(), partition=number, partitions=INPUT_PARTITIONS).read_from
        if place < log.end:
            age_s = world.broker.elapsed_s - world.written_s.get((number, place), 0.0)
            if age_s > RECOVERY_READS_S:
                raise Broken(f"a recovery of partition {number} would read the inputs of {age_s:.0f} s")
