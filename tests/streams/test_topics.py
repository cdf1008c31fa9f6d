from __future__ import annotations

import pytest

from streams.settings import Settings
from streams.topics import BASES, CONTROL, DECISIONS, EVENTS, INPUTS, Topic, differences, topics

DAY_MS = 86_400_000


def by_name(settings: Settings) -> dict[str, Topic]:
    return {topic.name: topic for topic in topics(settings)}


def test_topics_are_those_of_the_contract() -> None:
    """Names, clean-up, time and retention are what the readers of each topic rely on."""
    found = by_name(Settings(events_partitions=12, inputs_partitions=8))
    assert sorted(found) == [
        "canary.bases",
        "canary.commands",
        "canary.control",
        "canary.decisions",
        "canary.inputs",
        "inference.events",
        "inference.events.dead",
    ]
    assert {name for name, topic in found.items() if topic.timestamp == "LogAppendTime"} == {EVENTS, INPUTS}
    assert {name for name, topic in found.items() if topic.cleanup == "compact"} == {BASES, CONTROL}
    assert found[INPUTS].retention_ms >= DAY_MS and found[INPUTS].record_bytes_max == 10_000_000
    assert found[DECISIONS].retention_ms == 365 * DAY_MS
    assert {topic.partitions for name, topic in found.items() if name.startswith("canary.")} == {8}
    assert found[EVENTS].partitions == 12
    assert "retention.ms" not in found[CONTROL].config


def test_prefix_stands_before_every_topic() -> None:
    """Two installations with different prefixes share no topic."""
    assert not by_name(Settings(topic_prefix="a.")).keys() & by_name(Settings(topic_prefix="b.")).keys()


def test_a_topic_as_created_has_no_differences() -> None:
    """What `create` asks for is what `check` accepts."""
    for topic in topics(Settings()):
        assert differences(topic, {"retention.ms": str(7 * DAY_MS)} | topic.config) == []


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        (
            EVENTS,
            {"message.timestamp.type": "CreateTime"},
            "message.timestamp.type: found CreateTime; needed is LogApp",
        ),
        (INPUTS, {"cleanup.policy": "compact"}, "cleanup.policy: found compact; needed is delete"),
        (CONTROL, {"cleanup.policy": "delete"}, "cleanup.policy: found delete; needed is compact"),
        (INPUTS, {"retention.ms": "3600000"}, "retention.ms: found 3600000; needed is at least 1d"),
        (INPUTS, {"max.message.bytes": "1048588"}, "max.message.bytes: found 1048588; needed is at least 10000000"),
    ],
)
def test_each_difference_is_said(name: str, change: dict[str, str], said: str) -> None:
    """Each thing that would break the pipeline is one finding that names topic, setting, finding and need."""
    topic = by_name(Settings())[name]
    findings = differences(topic, {"retention.ms": str(7 * DAY_MS)} | topic.config | change)
    assert len(findings) == 1
    assert findings[0].startswith(name) and said in findings[0]


def test_endless_retention_and_the_brokers_time_are_fine() -> None:
    """Retention -1 keeps for ever, and a topic that needs no broker time may have it."""
    found = by_name(Settings())
    assert differences(found[INPUTS], found[INPUTS].config | {"retention.ms": "-1"}) == []
    assert differences(found[DECISIONS], found[DECISIONS].config | {"message.timestamp.type": "LogAppendTime"}) == []
