from __future__ import annotations

import logging
import socket
import threading
import time

import pytest
from structlog.testing import capture_logs

from streams import kafka
from streams.embedded import embedded_broker
from streams.kafka import RateLimit, UnreachableError, client_properties, require_broker, wait_for_broker
from streams.settings import Settings
from streams.settings_load import SettingsError


def nowhere() -> Settings:
    """Settings that name a port where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return Settings(brokers=f"127.0.0.1:{free.getsockname()[1]}")


def test_an_absent_broker_is_named_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which address was tried and what came back, on one line."""
    monkeypatch.setattr(kafka, "REQUIRE_TIMEOUT_S", 0.6)
    settings = nowhere()
    with pytest.raises(UnreachableError) as refused:
        require_broker(settings)
    assert f"Kafka at {settings.brokers} is not reachable (" in str(refused.value)
    assert "Connection refused" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_waiting_says_so_at_once_and_then_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line at the first failure, one per interval after it, never one per attempt."""
    monkeypatch.setattr(kafka, "PROBE_TIMEOUT_S", 0.1)
    monkeypatch.setattr(kafka, "REPEAT_S", 0.8)
    with capture_logs() as logs, pytest.raises(UnreachableError):
        wait_for_broker(nowhere(), threading.Event(), timeout_s=2.0)
    lines = [entry["event"] for entry in logs]
    assert 2 <= len(lines) <= 3
    assert all("is not reachable yet" in line and line.endswith("; trying again") for line in lines)


def test_waiting_ends_when_told_to_stop() -> None:
    """Ctrl-C while Kafka is down ends the process at once."""
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    began = time.monotonic()
    assert wait_for_broker(nowhere(), stop) is False
    assert time.monotonic() - began < 4


def test_require_broker_is_silent_when_the_broker_is_there() -> None:
    """A command that people type logs nothing about connecting."""
    with embedded_broker(Settings()) as broker, capture_logs() as logs:
        require_broker(broker)
    assert logs == []


def test_settings_pass_to_every_client() -> None:
    """What the user passes through wins over our defaults and reaches every kind of client."""
    settings = Settings(brokers="a:1", kafka={"client.rack": "r1", "reconnect.backoff.max.ms": "9"})
    properties = client_properties(settings, "me")
    assert properties["bootstrap.servers"] == "a:1"
    assert (properties["client.rack"], properties["reconnect.backoff.max.ms"]) == ("r1", "9")


@pytest.mark.parametrize("properties", [{"no.such.thing": "1"}, {"socket.keepalive.enable": "perhaps"}])
def test_a_property_that_librdkafka_refuses_is_the_users_mistake(
    properties: dict[str, str | int | float | bool],
) -> None:
    """An unknown property or value is a SettingsError that names it, for every kind of client."""
    settings = Settings(kafka=properties)
    for build in (
        lambda: kafka.admin(settings),
        lambda: kafka.producer(settings, "me"),
        lambda: kafka.consumer(settings, "me", "group"),
    ):
        with pytest.raises(SettingsError, match=next(iter(properties))):
            build()


def test_rate_limit_lets_one_line_of_a_kind_through_and_counts_the_rest() -> None:
    """A broken connection does not fill the log, and nothing is dropped without being counted."""
    limit = RateLimit(every_s=0.2)

    def passes(text: str) -> str | None:
        record = logging.LogRecord("k", logging.ERROR, __file__, 1, text, None, None)
        return record.getMessage() if limit.filter(record) else None

    assert passes("FAIL [a] refused") == "FAIL [a] refused"
    assert passes("FAIL [b] refused") is None
    assert passes("FAIL [b] refused") is None
    assert passes("OTHER thing") == "OTHER thing"
    time.sleep(0.25)
    assert passes("FAIL [a] refused") == "FAIL [a] refused (2 more like this)"
