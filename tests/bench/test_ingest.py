"""Ingest keeps its speed, as ratios within one run on a real Kafka, with a margin for noise."""

from __future__ import annotations

import pytest

from bench import ingest, packed, sharing


@pytest.mark.kafka
@pytest.mark.slow
def test_ingest_keeps_pace_with_decoding(kafka_broker: str) -> None:
    """Full ingest runs at 0.4 of consume + decode at least; without others on the machine it is about 0.7."""
    found = ingest.measure(kafka_broker, events=200_000, rounds=3)
    assert found["ingest_of_consume_decode"] >= 0.4, found


@pytest.mark.kafka
@pytest.mark.slow
def test_packed_events_cost_a_fraction_of_json(kafka_broker: str) -> None:
    """Two hundred events a record: at least five times the events/s of JSON, in a tenth of the bytes."""
    in_json = ingest.measure(kafka_broker, events=100_000, rounds=2)
    in_packs = packed.measure(kafka_broker, 200, total=2_000_000, rounds=2)
    assert in_packs["bytes_per_event"] <= in_json["bytes_per_event"] / 8
    assert in_packs["best_events_per_s"]["ingest"] >= 5 * in_json["events_per_s"]["ingest"], (in_packs, in_json)


@pytest.mark.kafka
@pytest.mark.slow
def test_two_processes_share_the_work_and_count_each_event_once(kafka_broker: str) -> None:
    """Each has a part, all events are in the reports, and an event costs no more CPU; three times is for other load."""
    one, two = sharing.measure(kafka_broker, total=2_000_000, packed=True)
    assert (one["counted"], two["counted"]) == (2_000_000, 2_000_000)
    assert min(two["shares"]) > 0, two
    assert two["cpu_ns_per_event"] <= 3 * one["cpu_ns_per_event"], (one, two)
