"""What Kafka knows of a service's releases: the route in force, and the decisions of the latest release."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import NamedTuple

import msgspec
from confluent_kafka import Message

from schemas.command import decode_command
from schemas.decision import Action, Decision, Refusal, decode_record, plan_hash
from schemas.file_errors import RuleError
from schemas.plan import Plan
from schemas.route import Route, decode_route
from streams.kafka import UnreachableError
from streams.kafka_reader import TIMEOUT_S, Reader, bounds, read_to_end
from streams.service_partition import partition_of
from streams.settings import Settings
from streams.topics import COMMANDS, CONTROL, DECISIONS

FIRST_LOOK_RECORDS = 500
"""Decisions are kept a year: readers look this far back at first, and eight times further while it is too little."""


class Standing(NamedTuple):
    """Where a service stands."""

    route: Route | None
    decisions: list[Decision]
    next_offset: int
    partition: int

    @property
    def latest(self) -> Decision | None:
        return self.decisions[-1] if self.decisions else None


def standing(settings: Settings, service: str) -> Standing:
    """Read the route in force and the decisions of the latest release.

    Raises
    ------
    UnreachableError : Kafka does not answer, or a topic is missing.
    """
    decisions_topic = settings.topic(DECISIONS)
    extents = bounds(settings, decisions_topic)
    partition = partition_of(service, len(extents))
    low, high = extents[partition]
    reach = FIRST_LOOK_RECORDS
    while True:
        start = max(low, high - reach)
        decisions = latest_release(_read(settings, decisions_topic, partition, (start, high)), service)
        if start == low or (decisions and decisions[0].action is Action.START):
            return Standing(_route(settings, service), decisions, high, partition)
        reach *= 8


def newest_decisions(settings: Settings, services: Collection[str], known: Collection[str]) -> dict[str, Decision]:
    """The newest decision of each of some services.

    Parameters
    ----------
    known : services of which there is one, by their routes. Only for them everything that is kept is looked through.

    Raises
    ------
    UnreachableError : Kafka does not answer, or a topic is missing.
    """
    topic = settings.topic(DECISIONS)
    newest: dict[str, Decision] = {}
    extents = bounds(settings, topic)
    for partition, (low, high) in extents.items():
        ours = {service for service in services if partition_of(service, len(extents)) == partition}
        start, end, reach = high, high, FIRST_LOOK_RECORDS
        while ours and start > low and (end == high or ours & set(known) - newest.keys()):
            start = max(low, high - reach)
            for message in _read(settings, topic, partition, (start, end)):
                decision = decision_of(message)
                if not isinstance(decision, Decision) or decision.service not in ours:
                    continue
                before = newest.get(decision.service)
                if before is None or decision.epoch > before.epoch:
                    newest[decision.service] = decision
            end, reach = start, reach * 8
    return newest


def plans_on_record(settings: Settings, hashes: Collection[str]) -> dict[str, Plan]:
    """By its hash each of the plans that a start command still has; commands are kept for a week.

    Raises
    ------
    UnreachableError : Kafka does not answer, or a topic is missing.
    """
    found: dict[str, Plan] = {}
    for message in read_to_end(settings, settings.topic(COMMANDS)) if hashes else ():
        try:
            plan = decode_command(message.value() or b"").plan
        except (msgspec.DecodeError, RuleError):
            continue
        if plan is not None and (known := plan_hash(plan)) in hashes:
            found[known] = plan
    return found


def latest_release(records: list[Message], service: str) -> list[Decision]:
    """The decisions of the service's newest release, each once: what is not newer by its epoch is a repetition."""
    kept: list[Decision] = []
    for message in records:
        decision = decision_of(message)
        if not isinstance(decision, Decision) or decision.service != service:
            continue
        if not kept or decision.epoch > kept[-1].epoch:
            kept.append(decision)
    return [decision for decision in kept if decision.release_id == kept[-1].release_id]


def decision_of(message: Message) -> Decision | Refusal | None:
    """The decoded record, or None for one that is not ours: somebody else may write to the topic too."""
    try:
        return decode_record(message.value() or b"")
    except msgspec.DecodeError:
        return None


def _route(settings: Settings, service: str) -> Route | None:
    topic = settings.topic(CONTROL)
    extents = bounds(settings, topic)
    partition = partition_of(service, len(extents))
    newest: Route | None = None
    for message in _read(settings, topic, partition, extents[partition]):
        if message.key() != service.encode():
            continue
        try:
            route = decode_route(message.value() or b"")
        except msgspec.DecodeError:
            continue
        if newest is None or (route.epoch, route.issued_at_ms) > (newest.epoch, newest.issued_at_ms):
            newest = route
    return newest


def _read(settings: Settings, topic: str, partition: int, extent: tuple[int, int]) -> list[Message]:
    start, end = extent
    records: list[Message] = []
    if start >= end:
        return records
    deadline = time.monotonic() + TIMEOUT_S
    with Reader(settings, topic, {partition: start}) as reader:
        while not reader.caught_up:
            records += reader.poll(1.0)
            if time.monotonic() > deadline:
                raise UnreachableError(f"{topic} at {settings.brokers}: not read to its end within {TIMEOUT_S:.0f} s")
    return [message for message in records if (message.offset() or 0) < end]
