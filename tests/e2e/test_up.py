"""`serinus up`: waits for Kafka, runs the whole pipeline, and stops on Ctrl-C within five seconds without a loss."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.conftest import free_port
from tests.e2e.own_kafka import own_kafka
from tests.e2e.pipeline import Pipeline, Process, Worker, wait_for
from tests.e2e.tally import as_json

SERVICE = "one-machine"
STOP_S = 5.0


def produce(brokers: str, events: int) -> None:
    producer, now_ms = Producer({"bootstrap.servers": brokers}), int(time.time() * 1000)
    for i in range(events):
        producer.produce("inference.events", as_json(service=SERVICE, version="v1", ts_ms=now_ms - i))
    assert producer.flush(20) == 0


def children(pid: int) -> list[int]:
    """All processes below one, from /proc."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has just ended
    found = [pid]
    for parent in found:
        found += [child for child, its_parent in parents.items() if its_parent == parent]
    return found[1:]


def interrupt(up: Process) -> float:
    """Ctrl-C; seconds until the process and all below it are gone."""
    below = children(up.popen.pid)
    assert len(below) >= 2, f"ingest and worker should run below `up`: {below}\n{up.text()[-2000:]}"
    began_s = time.monotonic()
    up.popen.send_signal(signal.SIGINT)
    assert up.popen.wait(30) == 0, up.text()[-3000:]
    took_s = time.monotonic() - began_s
    left = [pid for pid in below if Path(f"/proc/{pid}").exists()]
    assert not left, f"still running: {left}\n{up.text()[-3000:]}"
    return took_s


def wait_counted(running: Pipeline, worker: Worker, events: int) -> None:
    wait_for(worker.ready, 60, what="ready", dump=running.logs)
    wait_for(lambda: worker.counted(SERVICE) >= events, 30, what=f"{events} events", dump=running.logs)
    assert worker.counted(SERVICE) == events


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_up_waits_for_kafka_and_loses_nothing_on_ctrl_c(tmp_path: Path) -> None:
    """Without Kafka it says so and retries; then it works; Ctrl-C ends all in 5 s; a new start goes on exactly."""
    port, http_port = free_port(), free_port()
    brokers = f"127.0.0.1:{port}"
    ports = {"SERINUS_HTTP_PORT": str(http_port), "SERINUS_INGEST_HTTP_PORT": str(free_port())}
    running = Pipeline(brokers, "", tmp_path, **ports)
    try:
        up = running.start("up")
        worker = Worker(up, f"http://127.0.0.1:{http_port}")
        wait_for(lambda: brokers in up.text(), 20, what="a line that names the broker", dump=up.text)
        assert "Traceback" not in up.text()
        assert up.popen.poll() is None, up.text()
        with own_kafka(tmp_path / "kafka", port=port):
            wait_for(worker.ready, 60, what="ready", dump=up.text)
            produce(brokers, 2_000)
            wait_counted(running, worker, 2_000)
            produce(brokers, 1_000)
            first_s = interrupt(up)
            produce(brokers, 500)
            up.restart()
            wait_counted(running, worker, 3_500)
            second_s = interrupt(up)
        print(f"stopped within {first_s:.1f} s and {second_s:.1f} s; said while waiting: {up.text().splitlines()[0]}")
        assert max(first_s, second_s) <= STOP_S
        assert "Traceback" not in up.text(), up.text()
    finally:
        running.stop()


@pytest.mark.kafka
def test_ctrl_c_while_kafka_is_down(tmp_path: Path) -> None:
    """`up` can be stopped while it waits for a broker that never comes."""
    brokers = f"127.0.0.1:{free_port()}"
    running = Pipeline(brokers, "", tmp_path)
    try:
        up = running.start("up")
        wait_for(lambda: brokers in up.text(), 20, what="a line that names the broker", dump=up.text)
        began_s = time.monotonic()
        up.popen.send_signal(signal.SIGINT)
        assert up.popen.wait(10) == 0, up.text()
        assert time.monotonic() - began_s <= STOP_S
    finally:
        running.stop()
