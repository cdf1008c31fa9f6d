"""Whether the topic is still the one whose id the reports carry."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.ingest.topic_identity import ASK_EVERY_S, CONFIRMED_FOR_S, TopicReplacedError, TopicWatch


class Answers:
    """Futures that the test answers."""

    def __init__(self) -> None:
        self.asked: list[Future[Any]] = []
        self.clients = 1

    def ask(self) -> Future[Any]:
        self.asked.append(Future())
        return self.asked[-1]

    def start_over(self) -> None:
        self.clients += 1

    def answer(self, topic_id: str) -> None:
        self.asked[-1].set_result(SimpleNamespace(topic_id=topic_id))


def watch() -> tuple[TopicWatch, Any]:
    answers: Any = Answers()
    return TopicWatch("id-1", answers, now_s=0.0), answers


def test_reading_goes_on_while_the_answers_come() -> None:
    """One question at a time, once a second; the same id confirms."""
    one, answers = watch()
    for step in range(1, 40):
        now_s = step * 0.5
        assert one.confirmed(now_s)
        if answers.asked and not answers.asked[-1].done():
            answers.answer("id-1")
    assert len(answers.asked) <= 40 * 0.5 / ASK_EVERY_S


def test_without_an_answer_reading_stops_and_goes_on_again() -> None:
    """What is read on an old word might be of another topic; a client that failed is not asked again."""
    one, answers = watch()
    assert one.confirmed(ASK_EVERY_S)
    assert not one.confirmed(CONFIRMED_FOR_S + 0.1)
    error: Any = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
    answers.asked[-1].set_exception(KafkaException(error))
    assert not one.confirmed(CONFIRMED_FOR_S + 0.2), "a topic that is gone may be followed by another one"
    assert answers.clients == 2, "a client that waits for a dead broker never answers again"
    assert not one.confirmed(CONFIRMED_FOR_S + 1.2)
    answers.answer("id-1")
    assert one.confirmed(CONFIRMED_FOR_S + 1.3)


def test_another_id_ends_ingest() -> None:
    """Nothing of the new topic is reported under the old one's id."""
    one, answers = watch()
    one.confirmed(ASK_EVERY_S)
    answers.answer("id-2")
    with pytest.raises(TopicReplacedError, match="id-2"):
        one.confirmed(ASK_EVERY_S + 0.1)


def test_a_broker_without_ids_is_not_asked() -> None:
    """The embedded broker has none."""
    assert TopicWatch("embedded", None, now_s=0.0).confirmed(1e9)
