"""Brokers that can be killed, stopped in the middle of a step, and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.e2e.own_kafka import own_kafka, start_command
from tests.e2e.pipeline import wait_for

PROPERTIES = """
# A dead broker's partitions have no leader until it is missed; the default is nine seconds.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# A dead controller is missed first, and then the new one waits for the dead broker; the defaults are twice as long.
controller.quorum.fetch.timeout.ms=1000
controller.quorum.election.timeout.ms=500
"""


class Brokers:
    """The nodes of a cluster that :func:`brokers` has started. Nodes are numbered from 1."""

    def __init__(self, folder: Path, bootstrap: str, properties: Path) -> None:
        self.folder, self.bootstrap = folder, bootstrap
        self.nodes = range(1, bootstrap.count(",") + 2)
        self._start = start_command(folder, properties=properties, brokers=len(self.nodes))
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        self._starting: subprocess.Popen[bytes] | None = None

    def pid(self, node: int) -> int:
        return int((self.folder / f"broker-{node}" / "pid").read_text())

    def signal(self, node: int, number: signal.Signals) -> None:
        os.kill(self.pid(node), number)

    def running(self, node: int) -> bool:
        """Whether its process lives; a zombie does not."""
        try:
            return bool(Path(f"/proc/{self.pid(node)}/cmdline").read_bytes())
        except OSError:
            return False

    def output(self, node: int) -> str:
        """The end of what it printed."""
        return (self.folder / f"broker-{node}" / "server.log").read_text(errors="replace")[-200_000:]

    def kill(self, node: int) -> None:
        """`kill -9`."""
        self.signal(node, signal.SIGKILL)
        wait_for(lambda: not self.running(node), 10, what=f"broker {node} is gone")

    def restart(self) -> None:
        """Start what is not running; :meth:`serving` says when it is there."""
        self._starting = subprocess.Popen(self._start, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def serving(self) -> bool:
        """Whether nothing is being started any more and every partition has all its copies."""
        if self._starting is not None:
            if self._starting.poll() is None:
                return False
            assert self._starting.returncode == 0, f"a broker did not come back; see {self.folder}"
            self._starting = None
        try:
            topics = self._admin.list_topics(timeout=5).topics.values()
        except KafkaException:
            return False
        return all(len(p.isrs) == len(p.replicas) for topic in topics for p in topic.partitions.values())

    def controller(self) -> int:
        """The node that leads the quorum, by what the nodes themselves have noted: clients are told a random one."""
        votes = [
            json.loads((self.folder / f"broker-{node}/log/__cluster_metadata-0/quorum-state").read_text())
            for node in self.nodes
        ]
        return int(max(votes, key=lambda vote: int(vote["leaderEpoch"]))["leaderId"])

    def close(self) -> None:
        """Wait for what is being started: the cluster can be stopped only afterwards."""
        if self._starting is not None:
            self._starting.wait(100)


@contextmanager
def brokers(folder: Path, *, count: int) -> Iterator[Brokers]:
    """Start a cluster of one or three nodes in ``folder``; stop it and remove its data."""
    properties = folder.with_suffix(".properties")
    properties.write_text(PROPERTIES)
    with own_kafka(folder, properties=properties, brokers=count) as bootstrap:
        cluster = Brokers(folder, bootstrap, properties)
        try:
            yield cluster
        finally:
            for node in cluster.nodes:
                if cluster.running(node):
                    cluster.signal(node, signal.SIGCONT)
            cluster.close()
