"""The consumer side of ingest: batches of messages as :class:`Records`, and the trouble that a broker may report."""

from __future__ import annotations

import time
from itertools import chain
from typing import Any, Final

import numpy as np
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Message

from streams.ingest.records import Records
from streams.ingest.settings import IngestSettings

_value = Message.value
_error = Message.error
_partition = Message.partition
_offset = Message.offset
_timestamp = Message.timestamp

_POLL_S: Final = 0.05
_LEAVE_S_MAX: Final = 2.0


class CreateTimeError(Exception):
    """The topic keeps the producers' timestamps, which ingest must not trust."""


def consumer_properties(settings: IngestSettings, *, member: str) -> dict[str, Any]:
    """Properties of the consumer. Offsets are committed by us alone, and never guessed at the log's end.

    Parameters
    ----------
    member : a name that no other process has. When its session has ended while the coordinator's broker was dead, a
        member takes its own place again; without a name it waits until its former self is missed, a session more.
    """
    return {
        "queued.max.messages.kbytes": 65_536,
        **settings.kafka,
        "session.timeout.ms": settings.session_timeout_ms,
        # The session ends so long after the last heartbeat that was answered, also when the coordinator's broker has
        # died; with three in a session it ended before another broker had taken over, and joining anew took 7 s.
        "heartbeat.interval.ms": max(300, settings.session_timeout_ms // 6),
        "group.id": settings.group_id,
        "group.instance.id": member,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        # The default stalls the fetcher for a second whenever the queue is full: 7 times slower.
        "fetch.queue.backoff.ms": 5,
        "queued.min.messages": 200_000,
        "partition.assignment.strategy": "cooperative-sticky",
    }


def leave_group(consumer: Any) -> None:
    """Give the partitions back and close. Closing alone keeps a named member's place until its session ends."""
    consumer.unsubscribe()
    until_s = time.monotonic() + _LEAVE_S_MAX
    while consumer.memberid() and time.monotonic() < until_s:
        consumer.poll(_POLL_S)  # the revocation is called from here
    consumer.close()


def split_errors(messages: list[Any]) -> tuple[list[Any], list[Any]]:
    """Messages that carry a record, and the errors that came in place of one."""
    errors = [error for error in map(_error, messages) if error is not None]
    if not errors:
        return messages, []
    return [message for message in messages if message.error() is None], errors


def records_of(messages: list[Any], *, topic: str, embedded: bool) -> Records:
    """Columns of what every message says.

    Raises
    ------
    CreateTimeError : when a timestamp is not the broker's, except on the embedded broker, which cannot do better.
    """
    count = len(messages)
    stamps = np.fromiter(chain.from_iterable(map(_timestamp, messages)), np.int64, 2 * count).reshape(count, 2)
    if not embedded and (stamps[:, 0] != TIMESTAMP_LOG_APPEND_TIME).any():
        raise CreateTimeError(
            f"topic {topic}: message.timestamp.type is CreateTime, must be LogAppendTime; "
            "set it with kafka-configs or `serinus topics create`"
        )
    return Records(
        raw=list(map(_value, messages)),
        source=np.fromiter(map(_partition, messages), np.int64, count),
        offset=np.fromiter(map(_offset, messages), np.int64, count),
        log_ms=stamps[:, 1],
        key_of=lambda row: messages[row].key(),
    )
