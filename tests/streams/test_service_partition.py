"""The partition of a service is that of Kafka's Java client."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import Producer

from streams.service_partition import murmur2, partition_of


@pytest.mark.parametrize(
    ("key", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    ],
)
def test_the_hash_is_that_of_the_java_client(key: bytes, signed: int) -> None:
    """The vectors of Apache Kafka's UtilsTest.testMurmur2 hold."""
    assert murmur2(key) == signed % 2**32


def test_it_agrees_with_librdkafka() -> None:
    """A producer with ``murmur2_random`` puts every name, of any length and alphabet, on the same partition."""
    producer: Any = Producer(
        {"test.mock.num.brokers": 1, "bootstrap.servers": "", "partitioner": "murmur2_random", "log_level": 0}
    )
    found: dict[str, int] = {}
    names = ["s" * length + str(length) for length in range(40)] + ["größe", "聊天", "🐦"]
    for name in names:
        producer.produce(
            "t", b"", key=name, on_delivery=lambda _error, message, name=name: found.update({name: message.partition()})
        )
    producer.flush(10)
    assert found == {name: partition_of(name, 4) for name in names}
