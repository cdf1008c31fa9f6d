"""A broker that can write no more: what it has acknowledged survives, and nobody is silent about the rest."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import pytest

from tests.chaos.brokers import brokers
from tests.chaos.checks import check_counts, wait_judged
from tests.chaos.load import Load
from tests.chaos.monitor import Monitor
from tests.e2e.pipeline import pipeline, wait_for
from tests.e2e.traffic import Arm

SERVICES = ("one", "two")
RATE_PER_S = 200
NO_ROOM_BYTES = 1
"""No file may grow beyond this: every append fails, as on a full disk. It needs no right to mount anything. The broker
cannot even say why it ends."""
DOWN_S = 5.0


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_full_disk_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """The broker's files may not grow, so it ends; with room again all that was acknowledged counts once."""
    with brokers(tmp_path / "kafka", count=1) as cluster, pipeline(cluster.bootstrap, "full.", tmp_path) as running:
        ingest, worker, began_ms = running.ingest(), running.worker(), int(time.time() * 1000)
        worker.wait_ready()
        with (
            Load(running, canaries=dict.fromkeys(SERVICES, Arm()), routed=(), rate_per_s=RATE_PER_S) as load,
            Monitor([worker], SERVICES) as monitor,
        ):
            wait_judged(monitor, load.sent.copy(), 40, running)
            _, hard = resource.prlimit(cluster.pid(1), resource.RLIMIT_FSIZE)
            resource.prlimit(cluster.pid(1), resource.RLIMIT_FSIZE, (NO_ROOM_BYTES, hard))
            wait_for(lambda: not cluster.running(1), 30, what="the broker gives up", dump=lambda: cluster.output(1))
            wait_for(lambda: not worker.ready(), 15, what="the worker is not ready", dump=running.logs)
            time.sleep(DOWN_S)
            cluster.restart()
            wait_for(cluster.serving, 90, what="the broker is back", dump=lambda: cluster.output(1))
            back_s = time.monotonic()
            assert ingest.popen.poll() is None and worker.process.popen.poll() is None, running.logs()
            resumed_s = wait_judged(monitor, load.sent.copy(), 60, running) - back_s
            load.stop()
            counted = check_counts(running, worker, load, began_ms=began_ms)
        print(f"{counted} events, each once; counted again {resumed_s:.1f} s after the broker was back")
        for process in running.processes:
            assert "acknowledges nothing" in process.text(), process.text()[-3000:]
        assert worker.process.stop() == 0 and ingest.stop() == 0, running.logs()
