from __future__ import annotations

import msgspec
import pytest

from streams.cli.ingest import ingest_settings
from streams.embedded import embedded_broker
from streams.settings import Settings
from streams.settings_load import SettingsError


def test_ingest_gets_its_slice_of_the_configuration() -> None:
    """Names with their prefix, the broker's own partition count, the group, and the user's properties arrive."""
    with embedded_broker(Settings(topic_prefix="eu-", ingest_http_port=7007)) as broker:
        found = ingest_settings(msgspec.structs.replace(broker, kafka={"client.rack": "r1"}))
    assert (found.events_topic, found.dead_topic) == ("eu-inference.events", "eu-inference.events.dead")
    assert (found.inputs_topic, found.input_partitions) == ("eu-canary.inputs", 4)
    assert (found.group_id, found.http_port, found.embedded) == ("eu-serinus-ingest", 7007, True)
    assert found.kafka["bootstrap.servers"] == broker.brokers
    assert (found.kafka["client.rack"], found.session_timeout_ms) == ("r1", 6_000)


def test_another_partition_count_is_refused() -> None:
    """A report for a partition that no worker expects would be lost: ingest does not start."""
    with embedded_broker(Settings()) as broker, pytest.raises(SettingsError, match="found 8; allowed is 4"):
        ingest_settings(msgspec.structs.replace(broker, inputs_partitions=8))
