"""The id of the source topic: a topic that was deleted and created again is another one, and starts again at 0."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, Final

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from streams.ingest.settings import IngestSettings

EMBEDDED: Final = "embedded"
_TIMEOUT_S: Final = 10.0
_ANSWER_S: Final = 2.0
"""A stopped broker answers nothing; it is better to ask again, and perhaps another one, before reading has to stop."""

ASK_EVERY_S: Final = 1.0
CONFIRMED_FOR_S: Final = 3.0
"""Nothing is read for longer than this on the word of one answer. To delete a topic and create it again takes a broker
about as long; without asking, a consumer that waits at offset 0 would read the new topic and call it the old one."""


class TopicReplacedError(Exception):
    """The source topic was deleted and created anew while it was read."""


def topic_identity(settings: IngestSettings) -> str:
    """The broker's id of the events topic, as text.

    Raises
    ------
    KafkaException : when the broker or the topic is not there. The embedded broker knows no ids and gets a fixed one.
    """
    if settings.embedded:
        admin: Any = AdminClient(dict(settings.kafka))
        admin.list_topics(settings.events_topic, timeout=_TIMEOUT_S)
        return EMBEDDED
    ids = TopicIds(settings)
    identity = _identity(ids.ask(_TIMEOUT_S))
    if identity is None:
        raise KafkaException(f"the broker gives topic {settings.events_topic} no id; Kafka 2.8 or newer is needed")
    return identity


class TopicIds:
    """Asks the broker for the topic's id, again and again."""

    def __init__(self, settings: IngestSettings) -> None:
        self._topic, self._properties = settings.events_topic, dict(settings.kafka)
        self._admin: Any = AdminClient(self._properties)

    def start_over(self) -> None:
        """Ask through a new client: librdkafka asks the broker that it once took for the controller, dead or not."""
        self._admin = AdminClient(self._properties)

    def ask(self, timeout_s: float = _ANSWER_S) -> Future[Any]:
        """The topic's description, some time later."""
        futures = self._admin.describe_topics(TopicCollection([self._topic]), request_timeout=timeout_s)
        future: Future[Any] = futures[self._topic]
        return future


def _identity(answer: Future[Any]) -> str | None:
    identity = str(answer.result(timeout=_TIMEOUT_S + 5).topic_id)
    return identity if identity.strip("A=") else None  # nothing but A: the id of no topic


class TopicWatch:
    """Whether the topic is still the one whose id the reports carry.

    Parameters
    ----------
    topic_id : what it was at the start.
    ids : None where topics have no ids; then it always is.
    now_s : a monotonic clock.
    """

    def __init__(self, topic_id: str, ids: TopicIds | None, *, now_s: float) -> None:
        self._topic_id, self._ids = topic_id, ids
        self._asked_s = self._confirmed_s = now_s
        self._answer: Future[Any] | None = None

    def confirmed(self, now_s: float) -> bool:
        """Whether reading may go on; False while the broker does not answer, or has no such topic.

        Raises
        ------
        TopicReplacedError : the broker says that the topic is another one.
        """
        if self._ids is None:
            return True
        if self._answer is None and now_s - self._asked_s >= ASK_EVERY_S:
            self._asked_s, self._answer = now_s, self._ids.ask()
        if self._answer is not None and self._answer.done():
            answer, self._answer = self._answer, None
            if self._told(answer):
                self._confirmed_s = self._asked_s
            else:
                self._ids.start_over()
        return now_s - self._confirmed_s <= CONFIRMED_FOR_S

    def _told(self, answer: Future[Any]) -> bool:
        try:
            found = _identity(answer)
        except KafkaException:
            return False  # also a topic that is gone: another one of its name may come
        if found != self._topic_id:
            raise TopicReplacedError(f"the reports carry topic id {self._topic_id}, the topic now has {found}")
        return True
