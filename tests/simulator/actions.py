"""What each step of a schedule does to the world."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache

from schemas.command import Command, Verb, encode_command
from schemas.plan import Plan, parse_plan
from schemas.units import PPM
from tests.simulator.broker import INPUT_PARTITIONS, SOURCE_PARTITIONS
from tests.simulator.ingest_process import IngestProcess
from tests.simulator.schedule import WRITTEN, Step
from tests.simulator.truth import SERVICES
from tests.simulator.worker_process import WorkerProcess
from tests.simulator.world import World

PLAN = """
service: {service}
baseline: v1
canaries: [v2]
ramp: {{kind: stages, steps: [{{weight: 10%, hold: 1s}}, {{weight: 50%, hold: 1s}}]}}
metrics: [{{name: error_rate, margin: 45%}}{more}]
limits: {{max_duration: 4h, no_data: {{after: 10s, action: hold}}, inconclusive: {{after: 10s, action: hold}},
  no_data_rollback: 30s}}
"""


@cache
def _plan(service: str) -> Plan:
    more = ", {name: latency_ms, margin: 60%}" if service in SERVICES[:2] else ""
    return parse_plan(PLAN.format(service=service, more=more))


_VERBS = (Verb.START, Verb.START, Verb.START, Verb.SET_WEIGHT, Verb.PAUSE, Verb.RESUME, Verb.ROLLBACK, Verb.PROMOTE)
_RUBBISH = (b"", b"{}", b"\xc1", b"\x81\xa4type\xa5other", b'{"id":"x","service":"chat"}')

# ------------------------------------------------------------------------------------------------ producers and time


def events(world: World, step: Step) -> None:
    """Source ``a``, service ``b``, content ``c``."""
    service = SERVICES[step.b % len(SERVICES)]
    world.truth.append(step.a % SOURCE_PARTITIONS, service, step.c, error_rate=world.flavour.error_rate)


def poison(world: World, step: Step) -> None:
    """Source ``a``, content ``c``."""
    world.truth.poison(step.a % SOURCE_PARTITIONS, step.c)


def poison_input(world: World, step: Step) -> None:
    """Partition ``a``, content ``c``."""
    number = step.a % INPUT_PARTITIONS
    record = world.broker.inputs[number].append(world.broker.clock_ms, None, _RUBBISH[step.c % len(_RUBBISH)])
    world.input_written(number, record)


def poison_command(world: World, step: Step) -> None:
    """Content ``c``."""
    world.broker.commands.append(world.broker.clock_ms, None, _RUBBISH[step.c % len(_RUBBISH)])


def create_time(world: World, step: Step) -> None:
    """Source ``a``."""
    world.truth.create_time(step.a % SOURCE_PARTITIONS)


def passes(world: World, step: Step) -> None:
    """``a`` ms."""
    world.broker.pass_ms(step.a)


def jump(world: World, step: Step) -> None:
    """The broker's clock is set by ``a`` ms."""
    world.broker.pass_ms(0, jump_ms=step.a)


def command(world: World, step: Step) -> None:
    """Verb ``a``, service ``b``."""
    verb, service = _VERBS[step.a % len(_VERBS)], SERVICES[step.b % len(SERVICES)]
    plan = _plan(service) if verb is Verb.START else None
    weighs = verb is Verb.SET_WEIGHT
    asked = Command(
        f"c{world.broker.commands.end}",
        service,
        verb,
        "ada",
        "a test",
        world.broker.clock_ms,
        plan=plan,
        version="v2" if weighs or verb is Verb.PROMOTE else None,
        weight_ppm=PPM // 4 if weighs else None,
        replace=verb is Verb.START and world.broker.commands.end % 3 == 0,
        skip_evidence=verb is Verb.PROMOTE,
    )
    world.broker.commands.append(world.broker.clock_ms, service.encode(), encode_command(asked))


# ------------------------------------------------------------------------------------------------------------ ingest


def _ingest(world: World, step: Step) -> IngestProcess | None:
    return world.ingests[step.a % len(world.ingests)] if world.ingests else None


def ingest(world: World, step: Step) -> None:
    """Process ``a`` takes a turn with ``b`` records; then some of what it sent is written, in an order from ``c``."""
    process = _ingest(world, step)
    if process is None:
        return
    process.turn(step.b)
    draw = random.Random(step.c)
    for _ in range(WRITTEN[step.c % len(WRITTEN)]):
        places = process.producer.waiting()
        if process.ended is not None or not places:
            return
        process.producer.write(draw.choice(places))


def refuse(world: World, step: Step) -> None:
    """The broker refuses a record of process ``a`` for good; what the producer does not hold back is written."""
    process = _ingest(world, step)
    if process is None or not process.producer.waiting():
        return
    places = process.producer.waiting()
    process.producer.refuse(places[step.b % len(places)])
    for place in process.producer.waiting():
        process.producer.write(place)


def ingest_crash(world: World, step: Step) -> None:
    """Process ``a``."""
    if process := _ingest(world, step):
        process.crash()


def ingest_stop(world: World, step: Step) -> None:
    """Process ``a``, orderly."""
    if process := _ingest(world, step):
        process.stop()


def ingest_start(world: World, _step: Step) -> None:
    """One more."""
    world.new_ingest()


def ingest_rebalance(world: World, step: Step) -> None:
    """New owners from the bits of ``a``; the processes whose bit of ``b`` is set are not told."""
    if not world.ingests:
        return
    owners = {s: world.ingests[(step.a >> 2 * s) % len(world.ingests)] for s in range(SOURCE_PARTITIONS)}
    told = [process for n, process in enumerate(world.ingests) if not step.b >> n & 1]
    for process in told:
        lost = tuple(s for s in sorted(process.believes) if owners[s] is not process)
        process.tell("on_revoke", lost)
    world.broker.owner_of_source = {source: process.member for source, process in owners.items()}
    for process in told:
        gained = tuple(s for s in owners if owners[s] is process and s not in process.believes)
        process.tell("on_assign", gained)


def ingest_tell(world: World, step: Step) -> None:
    """Process ``a`` learns what it has lost meanwhile."""
    process = _ingest(world, step)
    if process is None:
        return
    owned = {s for s, member in world.broker.owner_of_source.items() if member == process.member}
    process.tell("on_lost", tuple(sorted(process.believes - owned)))
    process.tell("on_assign", tuple(sorted(owned - process.believes)))


# ------------------------------------------------------------------------------------------------------------ worker


def _worker(world: World, step: Step) -> WorkerProcess | None:
    return world.workers[step.a % len(world.workers)] if world.workers else None


def worker(world: World, step: Step) -> None:
    """Process ``a`` makes ``b`` small moves, in an order from ``c``; it may then stand between any two writes."""
    process = _worker(world, step)
    if process is None:
        return
    draw = random.Random(step.c)
    for _ in range(step.b):
        writes = process.port.choices()
        if writes and draw.random() < 0.9:
            process.perform(draw.choice(writes))
        elif draw.random() < 0.2:
            process.feed_command()
        else:
            number = draw.randrange(INPUT_PARTITIONS)
            _ = process.feed_input(number) or process.feed_input(1 - number)
        if process.ended is not None:
            return


def worker_fail(world: World, step: Step) -> None:
    """A write of process ``a`` fails; whether it was written all the same says ``b``."""
    process = _worker(world, step)
    if process is not None and process.port.writes:
        writes = process.port.choices()
        process.fail(writes[step.b % len(writes)], written=bool(step.b >> 8 & 1))


def worker_crash(world: World, step: Step) -> None:
    """Process ``a``; what was on its way arrives or not by the bits of ``b``."""
    if process := _worker(world, step):
        process.end("crashed", landing=step.b)


def worker_stop(world: World, step: Step) -> None:
    """Process ``a``, orderly."""
    if process := _worker(world, step):
        process.stop()


def worker_start(world: World, _step: Step) -> None:
    """One more."""
    world.new_worker()


def worker_rebalance(world: World, step: Step) -> None:
    """New owners from the bits of ``a``; the processes whose bit of ``b`` is set are not told."""
    if not world.workers:
        return
    owners = {n: world.workers[(step.a >> 2 * n) % len(world.workers)] for n in range(INPUT_PARTITIONS)}
    world.broker.owner_of_inputs = {number: process.member for number, process in owners.items()}
    for at, process in enumerate(world.workers):
        if not step.b >> at & 1:
            process.assign({n for n in owners if owners[n] is process}, world.fences())


def worker_tell(world: World, step: Step) -> None:
    """Process ``a`` learns what it has lost meanwhile."""
    if process := _worker(world, step):
        owned = {n for n, member in world.broker.owner_of_inputs.items() if member == process.member}
        if owned != process.port.believes:
            process.assign(owned, world.fences())


def tick(world: World, step: Step) -> None:
    """Of process ``a``."""
    if process := _worker(world, step):
        process.tick()


def commit(world: World, step: Step) -> None:
    """Faust commits what process ``a`` was handed, stored or not."""
    process = _worker(world, step)
    if process is None:
        return
    for number, place in process.port.positions.items():
        if world.broker.owner_of_inputs.get(number) == process.member:
            world.broker.inputs_commits[number] = place
    owns = world.broker.owner_of_inputs.get(0) == process.member
    if owns and process.commands_position is not None and not process.busy("commands"):
        world.broker.commands_commit = process.commands_position


def rewind(world: World, step: Step) -> None:
    """Process ``a`` is handed some inputs again."""
    process = _worker(world, step)
    for number in () if process is None else process.port.positions:
        assert process is not None
        process.port.positions[number] = max(0, process.port.positions[number] - step.b % 5)


def skip(world: World, step: Step) -> None:
    """Process ``a`` is not handed some inputs."""
    process = _worker(world, step)
    for number in () if process is None else process.port.positions:
        assert process is not None
        end = world.broker.inputs[number].end
        process.port.positions[number] = min(end, process.port.positions[number] + step.b % 4)


# ------------------------------------------------------------------------------------------------------------ broker


def compact(world: World, step: Step) -> None:
    """The control topic, or the changelog of a partition, by ``a``."""
    if step.a % 2:
        world.broker.compact_control()
    else:
        world.broker.compact_changelog(step.b % INPUT_PARTITIONS)


def retention(world: World, step: Step) -> None:
    """Events of source ``a`` are deleted up to a place from ``b``, read or not."""
    source = step.a % SOURCE_PARTITIONS
    log, first = world.broker.events[source], world.broker.events[source].first
    log.delete_before(first + (log.end - first) * (step.b % 5) // 4)
    if source not in world.broker.source_commits:
        # Before its first commit ingest cannot know that there was something.
        world.truth.lose(world.broker.topic_id, source, range(first, log.first))


def recreate(world: World, _step: Step) -> None:
    """The source topic is deleted and created again; what nobody had committed may be lost."""
    broker = world.broker
    for source, log in enumerate(broker.events):
        committed, _ = broker.source_commits.get(source, (0, ""))
        world.truth.lose(broker.topic_id, source, range(committed, log.end))
    broker.recreate_events()
    broker.pass_ms(4_000)
    for process in world.ingests:
        process.consumer.topic_is_new()


def prune(world: World, _step: Step) -> None:
    """Inputs that nobody needs any more are deleted."""
    for number, log in enumerate(world.broker.inputs):
        if (needed := world.needed_from(number)) is not None:
            log.delete_before(needed)


ACTIONS: dict[str, Callable[[World, Step], None]] = {
    "events": events,
    "poison": poison,
    "poison_input": poison_input,
    "poison_command": poison_command,
    "create_time": create_time,
    "pass": passes,
    "jump": jump,
    "command": command,
    "ingest": ingest,
    "refuse": refuse,
    "ingest_crash": ingest_crash,
    "ingest_stop": ingest_stop,
    "ingest_start": ingest_start,
    "ingest_rebalance": ingest_rebalance,
    "ingest_tell": ingest_tell,
    "worker": worker,
    "worker_fail": worker_fail,
    "worker_crash": worker_crash,
    "worker_stop": worker_stop,
    "worker_start": worker_start,
    "worker_rebalance": worker_rebalance,
    "worker_tell": worker_tell,
    "tick": tick,
    "commit": commit,
    "rewind": rewind,
    "skip": skip,
    "compact": compact,
    "retention": retention,
    "recreate": recreate,
    "prune": prune,
}
