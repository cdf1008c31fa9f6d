"""A broker that does not answer: nothing is lost, memory stays bounded, and everybody says so."""

from __future__ import annotations

import os
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.chaos.brokers import brokers
from tests.chaos.checks import check_counts, wait_judged
from tests.chaos.load import Load
from tests.chaos.monitor import Monitor
from tests.conftest import free_port
from tests.e2e.pipeline import Process, pipeline, wait_for
from tests.e2e.traffic import Arm

OUTAGE_S = float(os.environ.get("OUTAGE_S", "15"))
"""`make chaos` asks for 60."""
SERVICES = ("one", "two")
RATE_PER_S = 200
NOTICED_S = 10.0
GROWTH_MB_MAX = 30.0


def rss_mb(process: Process) -> float:
    """Resident memory."""
    status = Path(f"/proc/{process.popen.pid}/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmRSS")).split()[1]) / 1024


def ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except urllib.error.URLError:
        return False


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(240 + 2 * OUTAGE_S)
def test_a_broker_that_stands_still_loses_nothing(tmp_path: Path) -> None:
    """SIGSTOP of the only broker under load: both say no at `/readyz` and one clear line, and count all afterwards."""
    with brokers(tmp_path / "kafka", count=1) as cluster, pipeline(cluster.bootstrap, "out.", tmp_path) as running:
        port = free_port()
        ingest, worker, began_ms = running.ingest(port), running.worker(), int(time.time() * 1000)
        worker.wait_ready()
        urls = {"ingest": f"http://127.0.0.1:{port}", "worker": worker.url}
        with (
            Load(running, canaries=dict.fromkeys(SERVICES, Arm()), routed=(), rate_per_s=RATE_PER_S) as load,
            Monitor([worker], SERVICES) as monitor,
        ):
            wait_judged(monitor, load.sent.copy(), 40, running)
            wait_for(lambda: all(ready(url) for url in urls.values()), 20, what="all ready", dump=running.logs)
            before_mb = {"ingest": rss_mb(ingest), "worker": rss_mb(worker.process)}

            cluster.signal(1, signal.SIGSTOP)
            stopped_s = time.monotonic()
            wait_for(lambda: not any(ready(url) for url in urls.values()), NOTICED_S, what="nobody is ready")
            noticed_s = time.monotonic() - stopped_s
            time.sleep(max(0.0, stopped_s + OUTAGE_S - time.monotonic()))
            after_mb = {"ingest": rss_mb(ingest), "worker": rss_mb(worker.process)}
            assert ingest.popen.poll() is None and worker.process.popen.poll() is None, running.logs()

            cluster.signal(1, signal.SIGCONT)
            back_s = time.monotonic()
            resumed_s = wait_judged(monitor, load.sent.copy(), 60, running) - back_s
            wait_for(lambda: all(ready(url) for url in urls.values()), 30, what="all ready again", dump=running.logs)
            load.stop()
            counted = check_counts(running, worker, load, began_ms=began_ms)
        print(
            f"outage of {OUTAGE_S:.0f} s: not ready after {noticed_s:.1f} s, counting again {resumed_s:.1f} s after it"
        )
        print(f"resident MB before and at its end: {before_mb}, {after_mb}; {counted} events, each once")
        for name, process in (("ingest", ingest), ("worker", worker.process)):
            assert "Kafka acknowledges nothing" in process.text(), process.text()[-3000:]
            assert after_mb[name] - before_mb[name] <= GROWTH_MB_MAX
            assert process.stop() == 0, process.text()[-3000:]
