"""A process without an interface answers Prometheus, and says when its loop stands still."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from streams.ingest.metrics import IngestMetrics
from streams.probes import STALLED_S, Liveness, serve


@contextmanager
def served(liveness: Liveness) -> Iterator[str]:
    server = serve(IngestMetrics().registry, liveness, host="127.0.0.1", port=0)
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_metrics_and_health_are_served() -> None:
    """The names of the recorder are there, and a loop that comes round is healthy."""
    with served(Liveness()) as url:
        status, text = get(f"{url}/metrics")
        assert status == 200
        assert 'serinus_dead_letters_total{reason="' in text
        assert get(f"{url}/healthz") == (200, '{"ok":true,"why":[]}')
        assert get(f"{url}/elsewhere")[0] == 404


def test_a_loop_that_stands_still_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Alive means progress: after half a minute without a round the answer is 503 and says so."""
    liveness = Liveness()
    later_s = time.monotonic() + STALLED_S + 5
    monkeypatch.setattr("streams.probes.time.monotonic", lambda: later_s)
    with served(liveness) as url:
        status, text = get(f"{url}/healthz")
        assert (status, "stands still for 35 s" in text) == (503, True)
        liveness.moved()
        assert get(f"{url}/healthz")[0] == 200


def test_ingest_that_waits_for_kafka_is_alive_and_not_ready() -> None:
    """Killing it would not bring Kafka back, but nobody may believe that events are being counted."""
    liveness = Liveness()
    with served(liveness) as url:
        assert get(f"{url}/readyz") == (200, '{"ok":true,"why":[]}')
        liveness.waits_for = "Kafka has acknowledged nothing for 5 s"
        status, text = get(f"{url}/readyz")
        assert (status, "acknowledged nothing" in text) == (503, True)
        assert get(f"{url}/healthz")[0] == 200
