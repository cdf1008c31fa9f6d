"""The brokers, and the partitions of the pipeline's topics: are they led, copied, and safe to lose a broker with?"""

from __future__ import annotations

import confluent_kafka
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._metadata import TopicMetadata

from streams import topics
from streams.doctor.finding import Finding, fine, problem, warning
from streams.kafka import admin
from streams.settings import Settings
from streams.worker.faust_app import changelog_topic

ABOUT = "brokers"
_TIMEOUT_S = 10.0


def examine_cluster(settings: Settings) -> list[Finding]:
    """Brokers, leaders, copies in sync, and how many copies a write waits for."""
    client = admin(settings, "serinus-doctor")
    metadata = client.list_topics(timeout=_TIMEOUT_S)
    names = [topic.name for topic in topics.topics(settings)] + [changelog_topic(settings)]
    present = {name: metadata.topics[name] for name in names if name in metadata.topics}
    said = f"{len(metadata.brokers)} broker(s) at {settings.brokers}; librdkafka {confluent_kafka.libversion()[0]}"
    findings = [fine(ABOUT, said), *(one for name, topic in present.items() for one in _partitions(name, topic))]
    if settings.replication_factor > len(metadata.brokers):
        found = f"replication_factor is {settings.replication_factor}, and there are {len(metadata.brokers)} brokers"
        findings.append(problem(ABOUT, found, "start more brokers, or set replication_factor to what there is"))
    return findings + ([] if settings.embedded else _copies(client, present))


def _partitions(name: str, topic: TopicMetadata) -> list[Finding]:
    findings = []
    without = sorted(number for number, one in topic.partitions.items() if one.leader < 0)
    if without:
        found = f"{name}: no leader for partition(s) {_listed(without)}; nothing can be read or written there"
        findings.append(problem(ABOUT, found, "bring the brokers back that hold these partitions"))
    behind = sorted(number for number, one in topic.partitions.items() if len(one.isrs) < len(one.replicas))
    if behind:
        found = f"{name}: not all copies of partition(s) {_listed(behind)} are in sync"
        findings.append(warning(ABOUT, found, "see why a broker is down or slow before another one fails"))
    return findings


def _copies(client: AdminClient, present: dict[str, TopicMetadata]) -> list[Finding]:
    findings = []
    configs = topics.configs(client, list(present))
    for name, topic in present.items():
        copies = min((len(one.replicas) for one in topic.partitions.values()), default=0)
        needed = int(configs[name]["min.insync.replicas"])
        if copies >= 3 and needed < 2:
            found = f"{name}: {copies} copies, but a write is acknowledged by {needed}"
            remedy = f"set min.insync.replicas=2 on {name}: else a broker that dies takes acknowledged records along"
            findings.append(warning(ABOUT, found, remedy))
        if copies <= needed and copies > 1:
            found = f"{name}: {copies} copies and min.insync.replicas={needed}: one broker less stops all writes"
            findings.append(warning(ABOUT, found, "use one copy more than min.insync.replicas"))
    return findings


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))
