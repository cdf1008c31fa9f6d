"""Data folders, ports and pid files of a local cluster, without starting Java."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.kafka import cluster as local
from deploy.kafka import layout, processes
from deploy.kafka.layout import Cluster
from deploy.kafka.problem import WRONG_INPUT, LocalKafkaError


def make(data: Path, *, brokers: int = 1, port: int = 0) -> Cluster:
    made = Cluster(data=data, brokers=brokers, port=port or layout.free_port(brokers), cluster_id="x" * 22)
    for node in made.nodes:
        made.home(node).mkdir(parents=True)
    return made


def request(data: Path, *, brokers: int = 1, port: int = 0) -> local.Request:
    # No jars there: a start that gets as far as fetching would show as another error.
    return local.Request(data=data, brokers=brokers, port=port, libs=data / "none", heap="256m", timeout_s=1.0)


@pytest.fixture
def stranger() -> Iterator[int]:
    """Process id of a living process that is no broker."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process.pid
    assert process.stdin is not None
    process.stdin.close()
    process.wait(10)


def test_record_survives_a_round_trip(tmp_path: Path) -> None:
    """What start notes about a cluster, the next start and stop read back."""
    made = make(tmp_path, brokers=3, port=9092)
    layout.write_record(made, formatted=True)
    assert layout.read_record(tmp_path) == (made, True)


def test_new_folder_has_no_record(tmp_path: Path) -> None:
    """A folder that is missing or empty is free to use."""
    assert layout.read_record(tmp_path) is None
    assert layout.read_record(tmp_path / "missing") is None


def test_foreign_folder_is_refused(tmp_path: Path) -> None:
    """Somebody's own files are neither formatted over nor removed."""
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(LocalKafkaError, match=r"letter\.txt.*choose another --data") as caught:
        local.start(request(tmp_path))
    assert caught.value.exit_code == WRONG_INPUT
    with pytest.raises(LocalKafkaError, match=r"letter\.txt"):
        local.remove(tmp_path)
    assert (tmp_path / "letter.txt").exists()


def test_broken_record_says_what_to_do(tmp_path: Path) -> None:
    """A torn cluster.json is named, and the way out is said."""
    (tmp_path / "cluster.json").write_text('{"brokers": 1')
    with pytest.raises(LocalKafkaError, match=r"cluster\.json: cannot be read.*remove the folder"):
        layout.read_record(tmp_path)


def test_other_broker_count_is_refused(tmp_path: Path) -> None:
    """A formatted folder of three brokers cannot be started as one."""
    layout.write_record(make(tmp_path, brokers=3), formatted=True)
    with pytest.raises(LocalKafkaError, match="holds a cluster with --brokers 3, asked for 1"):
        local.start(request(tmp_path, brokers=1))


def test_taken_port_is_named(tmp_path: Path) -> None:
    """A port in use is an error before anything is fetched, formatted or started."""
    port = layout.free_port(1)
    with socket.create_server(("127.0.0.1", port)):
        assert not layout.is_free(port)
        with pytest.raises(LocalKafkaError, match=f"port {port}: another program listens there"):
            local.start(request(tmp_path, port=port))
    assert layout.read_record(tmp_path) is None
    assert layout.is_free(port)


@pytest.mark.parametrize(("brokers", "port"), [(2, 9092), (0, 9092), (1, 80), (3, 65535), (1, -1)])
def test_impossible_choices_are_refused(brokers: int, port: int) -> None:
    """Counts and ports that cannot work are wrong input, not a broker that fails later."""
    with pytest.raises(LocalKafkaError, match="allowed are") as caught:
        layout.check_choice(brokers=brokers, port=port)
    assert caught.value.exit_code == WRONG_INPUT


def test_stale_pid_file_hits_no_stranger(tmp_path: Path, stranger: int) -> None:
    """A process id that now belongs to somebody else is not running for us and is not killed."""
    made = make(tmp_path)
    layout.write_record(made, formatted=True)
    made.pid_file(1).write_text(f"{stranger}\n")
    assert processes.running_pid(made, 1) is None
    assert local.stop(tmp_path) == {1: "not running"}
    os.kill(stranger, 0)
    assert not made.pid_file(1).exists()


def test_stubborn_process_is_killed(tmp_path: Path) -> None:
    """A broker that ignores SIGTERM is gone after the grace all the same."""
    made = make(tmp_path)
    code = (
        "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    child = processes.spawn(made, 1, [sys.executable, "-c", code, str(made.properties_file(1))])
    while "deaf" not in made.output_file(1).read_text():
        assert child.poll() is None
    assert processes.running_pid(made, 1) == child.pid
    assert processes.terminate(made, [1], grace_s=0.2) == {1: "killed"}
    assert child.wait(10) == -9


def test_stop_without_a_cluster_does_nothing(tmp_path: Path) -> None:
    """Stopping twice, or what never was, is no error."""
    assert local.stop(tmp_path / "missing") == {}
    assert local.stop(tmp_path) == {}
