"""A broker that answers late and seldom: nothing is lost, memory stays bounded, and both say that it is slow."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos.brokers import Brokers, brokers
from tests.chaos.checks import check_counts, wait_judged
from tests.chaos.load import Load
from tests.chaos.monitor import Monitor
from tests.chaos.test_outage import GROWTH_MB_MAX, ready, rss_mb
from tests.conftest import free_port
from tests.e2e.pipeline import pipeline, wait_for
from tests.e2e.traffic import Arm

SLOW_S = float(os.environ.get("SLOW_S", "8"))
"""`make chaos` asks for 60."""
STOPPED_S, RUNNING_S = 2.4, 0.6
"""Four fifths of its time the broker does nothing, and most answers take more than a second. No stop is as
long as a session, so nobody is thought dead: that is what `test_outage` does."""
SERVICES = ("one", "two")
RATE_PER_S = 200


@contextmanager
def slowed(cluster: Brokers) -> Iterator[None]:
    """Stop and continue the only broker in turn; not a proxy, because clients must go to the address that it tells."""
    done = threading.Event()

    def run() -> None:
        while not done.is_set():
            cluster.signal(1, signal.SIGSTOP)
            done.wait(STOPPED_S)
            cluster.signal(1, signal.SIGCONT)
            done.wait(RUNNING_S)

    thread = threading.Thread(target=run, name="slow-broker")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(240 + 2 * SLOW_S)
def test_a_slow_broker_loses_nothing(tmp_path: Path) -> None:
    """Both count on meanwhile or after it, each event once, hold no more memory, and say it in one clear line."""
    with brokers(tmp_path / "kafka", count=1) as cluster, pipeline(cluster.bootstrap, "slow.", tmp_path) as running:
        port = free_port()
        ingest, worker, began_ms = running.ingest(port), running.worker(), int(time.time() * 1000)
        worker.wait_ready()
        urls = (f"http://127.0.0.1:{port}", worker.url)
        with (
            Load(running, canaries=dict.fromkeys(SERVICES, Arm()), routed=(), rate_per_s=RATE_PER_S) as load,
            Monitor([worker], SERVICES) as monitor,
        ):
            wait_judged(monitor, load.sent.copy(), 40, running)
            before_mb = {"ingest": rss_mb(ingest), "worker": rss_mb(worker.process)}
            with slowed(cluster):
                time.sleep(SLOW_S)
                after_mb = {"ingest": rss_mb(ingest), "worker": rss_mb(worker.process)}
                assert ingest.popen.poll() is None and worker.process.popen.poll() is None, running.logs()
            well_s = time.monotonic()
            resumed_s = wait_judged(monitor, load.sent.copy(), 60, running) - well_s
            wait_for(lambda: all(ready(url) for url in urls), 30, what="all ready again", dump=running.logs)
            load.stop()
            counted = check_counts(running, worker, load, began_ms=began_ms)
        print(f"slow for {SLOW_S:.0f} s: counting as ever {resumed_s:.1f} s after it; {counted} events, each once")
        print(f"resident MB before and at its end: {before_mb}, {after_mb}")
        for name, process in (("ingest", ingest), ("worker", worker.process)):
            assert "Kafka acknowledges" in process.text(), process.text()[-3000:]
            assert after_mb[name] - before_mb[name] <= GROWTH_MB_MAX
            assert process.stop() == 0, process.text()[-3000:]
