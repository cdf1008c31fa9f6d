"""What stands on the topics: decisions, routes with the time of their records, and when an event was appended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from confluent_kafka import Message

from schemas.decision import Decision, decode_record
from schemas.route import Route, decode_route
from streams.kafka_reader import Reader, read_to_end
from streams.settings import Settings
from streams.topics import CONTROL, DECISIONS, EVENTS
from tests.e2e.pipeline import Pipeline, wait_for


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


def appended_ms(running: Pipeline, through: Mapping[str, int]) -> int:
    """When the newest event of some evidence was appended: Unix ms of log time.

    Parameters
    ----------
    through : per partition of the events, the last offset that the evidence contains.
    """
    starts = {int(partition): offset for partition, offset in through.items()}
    times: dict[int, int] = {}
    with Reader(settings_of(running), running.topic(EVENTS), starts) as reader:

        def read() -> bool:
            for message in reader.poll(0.2):
                times.setdefault(message.partition() or 0, message.timestamp()[1])
            return times.keys() == starts.keys()

        wait_for(read, 20.0, what=f"the events at {starts}")
    return max(times.values())


def _value(message: Message) -> bytes:
    value = message.value()
    assert isinstance(value, bytes)
    return value
