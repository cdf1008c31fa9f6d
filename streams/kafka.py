"""The one place that builds confluent-kafka clients: their properties, their logs, and waiting for a broker."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from streams.settings import Settings
from streams.settings_load import SettingsError

RECORD_BYTES_MAX = 10_000_000
"""Largest record of ``canary.inputs``: the report of a slice with many services."""

Client = TypeVar("Client")

PROBE_TIMEOUT_S = 2.0
REQUIRE_TIMEOUT_S = 5.0
REPEAT_S = 5.0
LOG_EVERY_S = 30.0


class UnreachableError(Exception):
    """A broker that should answer does not. One line: which one, since when, and what was heard from it."""


class RateLimit(logging.Filter):
    """Lets one line of a kind through every ``every_s`` seconds: a broken connection says the same all the time."""

    def __init__(self, every_s: float = LOG_EVERY_S) -> None:
        super().__init__()
        self._every_s = every_s
        self._said_at: dict[str, float] = {}
        self._dropped: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.getMessage().split(" ", 1)[0]
        now = time.monotonic()
        if now - self._said_at.get(kind, -self._every_s) < self._every_s:
            self._dropped[kind] = self._dropped.get(kind, 0) + 1
            return False
        self._said_at[kind] = now
        if dropped := self._dropped.pop(kind, 0):
            record.msg, record.args = f"{record.getMessage()} ({dropped} more like this)", None
        return True


_log = structlog.stdlib.get_logger("serinus.kafka")
_client_log = logging.getLogger("serinus.librdkafka")
_client_log.addFilter(RateLimit())
# Ingest needs it, and a test on a real broker holds it; at every start it is noise.
_client_log.addFilter(lambda record: "enable.gapless.guarantee is experimental" not in record.getMessage())


def client_properties(settings: Settings, client_id: str) -> dict[str, Any]:
    """What every client has: where the broker is, who asks, and what the user passes through."""
    return {
        "bootstrap.servers": settings.brokers,
        "client.id": client_id,
        "log.connection.close": False,
        "reconnect.backoff.max.ms": 2_000,
        "logger": _client_log,
        **settings.kafka,
    }


def producer(settings: Settings, client_id: str, **properties: Any) -> Producer:
    """A producer that loses nothing and keeps order; it waits for an absent broker without end.

    Parameters
    ----------
    properties : librdkafka's names with underscores for dots, e.g. ``message_timeout_ms=5000``.

    Raises
    ------
    SettingsError : librdkafka refuses a property.
    """
    own = {
        "acks": "all",
        "enable.idempotence": True,
        "message.timeout.ms": 0,
        "message.max.bytes": RECORD_BYTES_MAX,
        "compression.type": "lz4",
        "linger.ms": 5,
        # Faust partitions by murmur2. librdkafka's default is CRC32: one service would have a state on two workers.
        "partitioner": "murmur2_random",
    }
    return _built(Producer, _merged(settings, client_id, own, properties))


def consumer(settings: Settings, client_id: str, group: str, **properties: Any) -> Consumer:
    """A consumer that commits nothing by itself.

    Parameters
    ----------
    group : the consumer group; an unused name for clients that assign partitions themselves.
    properties : librdkafka's names with underscores for dots, e.g. ``enable_partition_eof=True``.

    Raises
    ------
    SettingsError : librdkafka refuses a property.
    """
    own = {
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "session.timeout.ms": int(settings.session_timeout),
        "heartbeat.interval.ms": max(300, int(settings.session_timeout) // 3),
        # The default of 1000 ms stalls the fetcher when the queue is full: 195,000 records/s instead of 1.5 million.
        "fetch.queue.backoff.ms": 5,
        "queued.min.messages": 200_000,
        "fetch.message.max.bytes": RECORD_BYTES_MAX,
    }
    return _built(Consumer, _merged(settings, client_id, own, properties))


def admin(settings: Settings, client_id: str = "serinus-admin") -> AdminClient:
    """A client for topics and metadata; raises SettingsError when librdkafka refuses a property."""
    return _built(AdminClient, client_properties(settings, client_id))


def require_broker(settings: Settings) -> None:
    """For commands that people wait for: raises UnreachableError unless the broker answers soon, without a log."""
    wait_for_broker(settings, threading.Event(), REQUIRE_TIMEOUT_S, quiet=True)


def wait_for_broker(
    settings: Settings, stop: threading.Event, timeout_s: float | None = None, *, quiet: bool = False
) -> bool:
    """Wait until the broker answers; says every 5 s that it does not.

    Parameters
    ----------
    stop : ends the waiting.
    timeout_s : seconds to wait at most; None waits without end.

    Returns
    -------
    True when the broker answers, False when ``stop`` was set.

    Raises
    ------
    UnreachableError : the time is up.
    """
    heard: list[str] = []
    properties = client_properties(settings, "serinus-probe") | {
        "log_level": 0,
        "error_cb": lambda error: heard.append(error.str()),
    }
    probe = _built(AdminClient, properties)
    began = said_at = time.monotonic()
    while not stop.is_set():
        now = time.monotonic()
        left_s = PROBE_TIMEOUT_S if timeout_s is None else timeout_s - (now - began)
        if left_s <= 0:
            raise UnreachableError(_absent(settings, heard))
        try:
            probe.list_topics(timeout=min(PROBE_TIMEOUT_S, left_s))
        except KafkaException as error:
            heard.append(error.args[0].str())
            probe.poll(0)
        else:
            if said_at > began and not quiet:
                _log.info(f"connected to Kafka at {settings.brokers} after {time.monotonic() - began:.0f} s")
            return True
        if not quiet and (said_at == began or time.monotonic() - said_at >= REPEAT_S):
            said_at = time.monotonic()
            _log.warning(_absent(settings, heard, " yet") + "; trying again")
        del heard[:-5]
        stop.wait(0.2)
    return False


def touch(settings: Settings, names: list[str], timeout_s: float = 10.0) -> None:
    """Make the embedded broker create topics: it does so when somebody asks for one by name, and has no other way."""
    client = admin(settings)
    for name in names:
        deadline = time.monotonic() + timeout_s
        while not client.list_topics(topic=name, timeout=timeout_s).topics[name].partitions:
            if time.monotonic() > deadline:
                raise UnreachableError(f"Kafka at {settings.brokers} did not create {name} within {timeout_s:.0f} s")
            time.sleep(0.02)


def _absent(settings: Settings, heard: list[str], yet: str = "") -> str:
    # Of all that librdkafka says, the line with the address ("Connect to … failed: Connection refused") helps most.
    useful = [line for line in heard if "/bootstrap" in line or "uthenticat" in line] or heard
    reason = useful[-1].split(" (after ")[0] if useful else "no answer"
    return f"Kafka at {settings.brokers} is not reachable{yet} ({reason})"


def _merged(settings: Settings, client_id: str, own: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    asked = {name.replace("_", "."): value for name, value in properties.items()}
    return own | client_properties(settings, client_id) | asked


def _built(kind: Callable[[dict[str, Any]], Client], properties: dict[str, Any]) -> Client:
    try:
        return kind(properties)
    except (KafkaException, ValueError, TypeError) as error:
        cause = error.args[0] if error.args else error
        what = cause.str() if isinstance(cause, KafkaError) else str(cause)
        raise SettingsError(f"kafka: librdkafka refuses a property: {what}") from error
