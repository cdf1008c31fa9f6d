"""What a reader does while the cluster is changing; reading itself is tested with the topics that are read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.kafka import UnreachableError
from streams.kafka_reader import bounds
from streams.settings import Settings


class Client:
    """A consumer whose first questions fail."""

    def __init__(self, *errors: int) -> None:
        self._errors = list(errors)

    def list_topics(self, topic: str, timeout: float) -> Any:
        return SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions={0: None})})

    def get_watermark_offsets(self, _place: object, timeout: float) -> tuple[int, int]:
        if self._errors:
            error: Any = KafkaError(self._errors.pop(0))
            raise KafkaException(error)
        return (3, 9)

    def close(self) -> None:
        pass


def test_a_broker_that_leaves_is_no_reason_to_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """While another broker takes over, what librdkafka says of the one that left is asked again."""
    client = Client(KafkaError._DESTROY_BROKER, KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError._TRANSPORT)
    monkeypatch.setattr("streams.kafka_reader.consumer", lambda *_: client)
    assert bounds(Settings(), "events") == {0: (3, 9)}


def test_what_does_not_pass_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lasting refusal ends the question with the topic's name."""
    monkeypatch.setattr("streams.kafka_reader.consumer", lambda *_: Client(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    with pytest.raises(UnreachableError, match="events at"):
        bounds(Settings(), "events")
