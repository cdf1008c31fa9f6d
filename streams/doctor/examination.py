"""All examinations in order. One that cannot be made is a finding, and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from confluent_kafka import KafkaException

from streams import topics
from streams.doctor.cluster import examine_cluster
from streams.doctor.finding import Finding, fine, problem
from streams.doctor.flow import examine_flow
from streams.doctor.leases import examine_leases
from streams.doctor.rights import examine_rights
from streams.doctor.workers import examine_worker
from streams.kafka import UnreachableError, require_broker
from streams.settings import Settings

_REMEDY = "`serinus topics create` makes what is missing; the rest is changed with Kafka's own kafka-configs"

Examine = Callable[[Settings], list[Finding]]


def examine_topics(settings: Settings) -> list[Finding]:
    """The topics' partitions, cleanup, retention, kind of time."""
    found = topics.check(settings)
    return [problem("topics", one, _REMEDY) for one in found] or [fine("topics", "all topics are as they must be")]


EXAMINATIONS: tuple[tuple[str, Examine], ...] = (
    ("brokers", examine_cluster),
    ("topics", examine_topics),
    ("rights", examine_rights),
    ("flow", examine_flow),
    ("leases", examine_leases),
    ("worker", examine_worker),
)


def examine(settings: Settings) -> Iterator[Finding]:
    """Everything that can be found out from here; stops at once when no broker answers."""
    try:
        require_broker(settings)
    except UnreachableError as error:
        yield problem(
            "brokers", str(error), "start Kafka, or set brokers to where it is and the right security settings"
        )
        return
    for about, look in EXAMINATIONS:
        try:
            yield from look(settings)
        except UnreachableError as error:
            yield problem(about, str(error), "see the findings above")
        except KafkaException as error:
            yield problem(about, error.args[0].str(), "see the findings above")
