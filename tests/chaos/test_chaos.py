"""Brokers, ingests and workers die and stand still under load, and nothing that dies loses or repeats a request."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource

from schemas.decision import Action
from tests.chaos.brokers import brokers
from tests.chaos.checks import check_counts, check_decisions, check_routes, wait_judged
from tests.chaos.faults import Chaos, report
from tests.chaos.load import Load
from tests.chaos.monitor import Monitor
from tests.chaos.releases import BROKEN, HEALTHY, Releases
from tests.e2e.pipeline import Pipeline, pipeline, wait_for
from tests.e2e.traffic import Arm
from tests.machine_speed import slowness

FAULTS = int(os.environ.get("CHAOS_FAULTS", "8"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
"""`make chaos` asks for 50 faults; eight are one of each kind."""
RESUMED_S_MAX = 20.0
"""After `kill -9`, where a spare exists. Ten seconds are the aim; a busy machine may take twice as long."""
BEHIND_S_MAX = 3.0
"""On the usual machine; where each acknowledgement of three brokers takes a second or two, no report comes sooner."""
RATE_PER_S = 300
CANARIES = {HEALTHY: Arm(), BROKEN: Arm(error_rate=0.5), "east": Arm(), "west": Arm(), "north": Arm(), "south": Arm()}


def keep_every_route(running: Pipeline) -> None:
    """Compaction would hide from the checks what routers were told."""
    topic = ConfigResource(ConfigResource.Type.TOPIC, running.topic("canary.control"))
    for name in ("segment.ms", "min.compaction.lag.ms"):
        entry = ConfigEntry(name, str(86_400_000), incremental_operation=AlterConfigOpType.SET)
        topic.add_incremental_config(entry)
    client = AdminClient({"bootstrap.servers": running.brokers})
    client.incremental_alter_configs([topic])[topic].result(15)


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(300 + 40 * FAULTS)
def test_nothing_that_dies_loses_or_repeats_a_request(tmp_path: Path) -> None:
    """Faults on three brokers, two ingests, two workers: counts to the unit, epochs, shares, reasons, recovery."""
    settings, slow_before = {"SERINUS_REPLICATION_FACTOR": "3"}, slowness()
    with (
        brokers(tmp_path / "kafka", count=3) as cluster,
        pipeline(cluster.bootstrap, "chaos.", tmp_path, **settings) as running,
    ):
        keep_every_route(running)
        began_ms = int(time.time() * 1000)
        ingests, workers = [running.ingest(), running.ingest()], [running.worker(), running.worker()]
        wait_for(lambda: all(worker.ready() for worker in workers), 60, what="both ready", dump=running.logs)
        groups = {"ingest": ingests, "worker": [worker.process for worker in workers]}
        with (
            Load(running, canaries=CANARIES, routed=(HEALTHY, BROKEN), rate_per_s=RATE_PER_S) as load,
            Monitor(workers, CANARIES) as monitor,
            Releases(workers),
        ):
            wait_judged(monitor, load.sent.copy(), 60, running)
            behind_s_max = BEHIND_S_MAX * slow_before
            chaos = Chaos(cluster, running, groups, load, monitor, seed=SEED, behind_s_max=behind_s_max)
            chaos.run(FAULTS)
            wait_judged(monitor, load.sent.copy(), 60, running)
            load.stop()
        counted = check_counts(running, workers[0], load, began_ms=began_ms)
        repeats = {service: check_routes(running, service) for service in (HEALTHY, BROKEN)}
        made = {service: check_decisions(running, service) for service in (HEALTHY, BROKEN)}
        actions = Counter(decision.action.value for some in made.values() for decision in some)
        print(report(chaos.outcomes))
        print(f"{counted} events counted once, {load.unknown.total()} of unknown fate; decisions {dict(actions)}")
        print(f"repeated routes {repeats}; ended by themselves and were started again: {chaos.keeper.ended}")
        assert any(decision.action is Action.ROLLBACK for decision in made[BROKEN])
        for process in running.processes:
            assert process.stop() == 0, process.text()[-3000:]
    resumed_s_max = RESUMED_S_MAX * max(slow_before, slowness())
    slow = [one for one in chaos.outcomes if one.kind == "kill" and one.resumed_s > resumed_s_max]
    assert not slow, (slow, resumed_s_max)
