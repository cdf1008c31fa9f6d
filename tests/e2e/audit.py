"""What stands on the topics: decisions, routes with the time of their records, and when an event was appended."""

from __future__ import annotations

from typing import NamedTuple

from confluent_kafka import Message

from schemas.decision import Action, Decision, decode_record
from schemas.route import Route, decode_route
from streams.kafka_reader import read_to_end
from streams.settings import Settings
from streams.topics import CONTROL, DECISIONS, EVENTS
from tests.e2e.pipeline import Pipeline


class Published(NamedTuple):
    """A route and when its record was made, Unix ms."""

    route: Route
    at_ms: int


def settings_of(running: Pipeline) -> Settings:
    return Settings(brokers=running.brokers, topic_prefix=running.prefix)


def decisions(running: Pipeline, service: str) -> list[Decision]:
    """All decisions on a service, in order; the same one published again counts once."""
    records = (decode_record(_value(m)) for m in read_to_end(settings_of(running), running.topic(DECISIONS)))
    found = {(r.release_id, r.epoch): r for r in records if isinstance(r, Decision) and r.service == service}
    return sorted(found.values(), key=lambda decision: decision.epoch)


def routes(running: Pipeline, service: str) -> list[Published]:
    """All routes of a service, in order, renewals included."""
    records = read_to_end(settings_of(running), running.topic(CONTROL))
    found = [Published(decode_route(_value(m)), m.timestamp()[1]) for m in records]
    return [one for one in found if one.route.service == service]


def append_times(running: Pipeline) -> dict[tuple[int, int], int]:
    """When each event was appended: (partition, offset) to Unix ms of log time."""
    messages = read_to_end(settings_of(running), running.topic(EVENTS), 60.0)
    return {(m.partition() or 0, m.offset() or 0): m.timestamp()[1] for m in messages}


def event_to_route_ms(running: Pipeline, service: str) -> list[int]:
    """Of every decision by evidence: its route's record minus the append of the newest event that it saw, in ms."""
    first = {one.route.epoch: one.at_ms for one in reversed(routes(running, service))}
    appended_ms = append_times(running)
    return [
        first[decision.epoch] - max(appended_ms[int(number), offset] for number, offset in decision.through.items())
        for decision in decisions(running, service)
        if decision.action in {Action.ADVANCE, Action.ROLLBACK}
    ]


def _value(message: Message) -> bytes:
    value = message.value()
    assert isinstance(value, bytes)
    return value
