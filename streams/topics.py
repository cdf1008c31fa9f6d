"""The seven topics of the pipeline as data; creating the missing ones; finding what is wrong with those that exist."""

from __future__ import annotations

import time
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._metadata import TopicMetadata
from confluent_kafka.cimpl import NewTopic

from schemas.units import Duration
from streams.kafka import RECORD_BYTES_MAX, UnreachableError, admin, touch
from streams.settings import Settings

EVENTS = "inference.events"
EVENTS_DEAD = "inference.events.dead"
INPUTS = "canary.inputs"
COMMANDS = "canary.commands"
DECISIONS = "canary.decisions"
CONTROL = "canary.control"
BASES = "canary.bases"

_DAY_MS = 86_400_000
_TIMEOUT_S = 15.0


class Topic(NamedTuple):
    """How a topic must be. ``retention_ms`` is what `create` sets; ``retention_ms_min`` what `check` asks for."""

    name: str
    partitions: int
    cleanup: str = "delete"
    timestamp: str = "CreateTime"
    retention_ms: int = 7 * _DAY_MS
    retention_ms_min: int = 0
    record_bytes_max: int = 1_048_588
    partitions_fixed: bool = False
    extra: tuple[tuple[str, str], ...] = ()

    @property
    def config(self) -> dict[str, str]:
        """The broker's settings of this topic."""
        config = {
            "cleanup.policy": self.cleanup,
            "message.timestamp.type": self.timestamp,
            "max.message.bytes": str(self.record_bytes_max),
        }
        if self.cleanup == "delete":
            config["retention.ms"] = str(self.retention_ms)
        return config | dict(self.extra)


def topics(settings: Settings) -> tuple[Topic, ...]:
    """The topics under their names on the broker. Faust's changelogs are not among them: the worker creates those."""
    inputs = settings.inputs_partitions
    return (
        # Slices are cut by the broker's time: one far-future timestamp of a producer would freeze a partition for ever.
        Topic(settings.topic(EVENTS), settings.events_partitions, timestamp="LogAppendTime"),
        # A dead letter carries the raw record in base64, which is a third longer, and the source may allow 1 MiB.
        Topic(settings.topic(EVENTS_DEAD), settings.events_partitions, record_bytes_max=2_097_152),
        Topic(
            settings.topic(INPUTS),
            inputs,
            timestamp="LogAppendTime",
            retention_ms=3 * _DAY_MS,
            retention_ms_min=_DAY_MS,
            record_bytes_max=RECORD_BYTES_MAX,
            partitions_fixed=True,
        ),
        Topic(settings.topic(COMMANDS), inputs),
        Topic(settings.topic(DECISIONS), inputs, retention_ms=365 * _DAY_MS),
        # Routes are renewed every ten seconds: without small segments a router that starts would read a week of them.
        Topic(
            settings.topic(CONTROL),
            inputs,
            cleanup="compact",
            extra=(("segment.ms", "600000"), ("min.cleanable.dirty.ratio", "0.1")),
        ),
        # Ingest reads as many partitions as canary.inputs has.
        Topic(settings.topic(BASES), inputs, cleanup="compact", partitions_fixed=True),
    )


def create(settings: Settings) -> list[tuple[str, bool]]:
    """Create the topics that are missing; those that exist are left as they are.

    Returns
    -------
    ``(name, whether it was created now)`` of each topic.

    Raises
    ------
    UnreachableError : the broker does not answer or refuses.
    """
    client = admin(settings)
    existing = _partitions(client, settings)
    wanted = topics(settings)
    missing = [topic for topic in wanted if topic.name not in existing]
    if settings.embedded:
        touch(settings, [topic.name for topic in missing])
        return [(topic.name, topic in missing) for topic in wanted]
    requests = [
        NewTopic(
            topic.name,
            num_partitions=topic.partitions,
            replication_factor=settings.replication_factor,
            config=topic.config,
        )
        for topic in missing
    ]
    created = set()
    for name, answer in client.create_topics(requests, request_timeout=_TIMEOUT_S).items() if requests else ():
        try:
            answer.result()
            created.add(name)
        except KafkaException as error:
            # Another process may create the same topics at the same moment.
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise UnreachableError(
                    f"Kafka at {settings.brokers} refused to create {name}: {error.args[0].str()}"
                ) from error
    _wait_until_led(client, settings, created)
    return [(topic.name, topic.name in created) for topic in wanted]


def _wait_until_led(client: AdminClient, settings: Settings, names: set[str]) -> None:
    """The broker acknowledges a topic before it tells everybody, and before each partition has a leader."""
    deadline = time.monotonic() + _TIMEOUT_S
    while names - _led(client, settings):
        if time.monotonic() > deadline:
            raise UnreachableError(f"Kafka at {settings.brokers}: no leader yet for {', '.join(sorted(names))}")
        time.sleep(0.05)


def _led(client: AdminClient, settings: Settings) -> set[str]:
    return {
        name
        for name, topic in _topics(client, settings).items()
        if topic.partitions and all(partition.leader >= 0 for partition in topic.partitions.values())
    }


def check(settings: Settings) -> list[str]:
    """What differs from how the topics must be: one sentence each, none when all is well.

    Raises
    ------
    UnreachableError : the broker does not answer or refuses.
    """
    client = admin(settings)
    partitions = _partitions(client, settings)
    wanted = topics(settings)
    present = [topic for topic in wanted if topic.name in partitions]
    findings = [f"{topic.name}: missing; `serinus topics create` makes it" for topic in wanted if topic not in present]
    described = {} if settings.embedded else _described(client, settings, present)
    for topic in present:
        found = partitions[topic.name]
        if topic.partitions_fixed and found != topic.partitions:
            findings.append(
                f"{topic.name}: found {found} partitions; inputs_partitions says {topic.partitions},"
                " and the count may never change"
            )
        if topic.name in described:
            findings += differences(topic, described[topic.name])
    return findings


def differences(topic: Topic, found: dict[str, str]) -> list[str]:
    """How the broker's settings of one topic differ from what the pipeline needs."""
    findings = []
    for name, allowed in (("cleanup.policy", topic.cleanup), ("message.timestamp.type", topic.timestamp)):
        # A topic that need not have the broker's time may have it.
        if found[name] != allowed and allowed != "CreateTime":
            findings.append(f"{topic.name}: {name}: found {found[name]}; needed is {allowed}")
    kept_ms = int(found["retention.ms"])
    if topic.cleanup == "delete" and 0 <= kept_ms < topic.retention_ms_min:
        least = Duration(topic.retention_ms_min).text()
        findings.append(f"{topic.name}: retention.ms: found {kept_ms}; needed is at least {least}")
    if (largest := int(found["max.message.bytes"])) < topic.record_bytes_max:
        findings.append(
            f"{topic.name}: max.message.bytes: found {largest}; needed is at least {topic.record_bytes_max}"
        )
    return findings


def _topics(client: AdminClient, settings: Settings) -> dict[str, TopicMetadata]:
    try:
        found = client.list_topics(timeout=_TIMEOUT_S).topics
    except KafkaException as error:
        raise UnreachableError(f"Kafka at {settings.brokers} is not reachable ({error.args[0].str()})") from error
    return {name: topic for name, topic in found.items() if topic.error is None}


def _partitions(client: AdminClient, settings: Settings) -> dict[str, int]:
    return {name: len(topic.partitions) for name, topic in _topics(client, settings).items()}


def _described(client: AdminClient, settings: Settings, wanted: list[Topic]) -> dict[str, dict[str, str]]:
    try:
        return configs(client, [topic.name for topic in wanted])
    except KafkaException as error:
        raise UnreachableError(f"Kafka at {settings.brokers} does not describe: {error.args[0].str()}") from error


def configs(client: AdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    """The broker's settings of topics that exist; raises KafkaException when it does not tell them."""
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
    answers = client.describe_configs(resources, request_timeout=_TIMEOUT_S) if resources else {}
    return {
        resource.name: {name: entry.value for name, entry in answer.result().items()}
        for resource, answer in answers.items()
    }
