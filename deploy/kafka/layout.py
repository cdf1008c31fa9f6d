"""Where a local cluster keeps its files and on which ports it listens."""

from __future__ import annotations

import json
import os
import random
import socket
from dataclasses import dataclass
from pathlib import Path

from deploy.kafka.problem import WRONG_INPUT, LocalKafkaError

HOST = "127.0.0.1"
BROKER_COUNTS = (1, 3)
# Brokers take port, port+1, port+2 and their controllers port+10, port+11, port+12: one short range for each
# cluster, so that clusters whose ports are 20 apart never meet.
CONTROLLER_OFFSET = 10
MAX_PORT = 65535 - CONTROLLER_OFFSET - max(BROKER_COUNTS)


@dataclass(frozen=True)
class Cluster:
    """A local cluster in KRaft combined mode: every node is broker and controller.

    Parameters:
        data: folder that belongs to this cluster alone.
        brokers: 1 or 3.
        port: port of the first broker.
        cluster_id: 22 characters, URL-safe base64 of 16 bytes.
    """

    data: Path
    brokers: int
    port: int
    cluster_id: str

    @property
    def nodes(self) -> range:
        """Node ids, from 1."""
        return range(1, self.brokers + 1)

    @property
    def bootstrap(self) -> str:
        """The value of `bootstrap.servers` for clients on this machine."""
        return ",".join(f"{HOST}:{self.broker_port(node)}" for node in self.nodes)

    @property
    def ports(self) -> list[int]:
        """Every port that the cluster listens on."""
        return [port(node) for node in self.nodes for port in (self.broker_port, self.controller_port)]

    def broker_port(self, node: int) -> int:
        """Port on which clients reach the node."""
        return self.port + node - 1

    def controller_port(self, node: int) -> int:
        """Port on which the nodes agree on metadata."""
        return self.port + CONTROLLER_OFFSET + node - 1

    def home(self, node: int) -> Path:
        """Folder of one node."""
        return self.data / f"broker-{node}"

    def log_dir(self, node: int) -> Path:
        """Folder of the node's partitions."""
        return self.home(node) / "log"

    def properties_file(self, node: int) -> Path:
        """The node's configuration; its path in a command line is also how a process is recognised as ours."""
        return self.home(node) / "server.properties"

    def output_file(self, node: int) -> Path:
        """What the node printed."""
        return self.home(node) / "server.log"

    def pid_file(self, node: int) -> Path:
        """The process id of the node that was started last."""
        return self.home(node) / "pid"


def record_file(data: Path) -> Path:
    """The file that says which cluster a data folder belongs to."""
    return data / "cluster.json"


def write_record(cluster: Cluster, *, formatted: bool) -> None:
    """Notes the cluster in its data folder, at once or not at all.

    Parameters:
        formatted: whether all nodes' folders are complete; until then a start may throw them away.
    """
    target = record_file(cluster.data)
    fresh = target.with_suffix(".tmp")
    fresh.write_text(
        json.dumps(
            {
                "brokers": cluster.brokers,
                "port": cluster.port,
                "cluster_id": cluster.cluster_id,
                "formatted": formatted,
            }
        )
    )
    fresh.replace(target)


def read_record(data: Path) -> tuple[Cluster, bool] | None:
    """The cluster noted in a data folder and whether it was formatted completely; None for a new folder.

    Raises:
        LocalKafkaError: the folder holds something else, or its record cannot be read.
    """
    target = record_file(data)
    if not target.exists():
        foreign = [entry.name for entry in data.iterdir() if entry.name != "lock"] if data.is_dir() else []
        if foreign:
            raise LocalKafkaError(
                f"{data}: holds {foreign[0]} but no cluster.json, so it is not a folder of a local Kafka; "
                "choose another --data",
                WRONG_INPUT,
            )
        return None
    try:
        fields = json.loads(target.read_text())
        cluster = Cluster(data=data, brokers=fields["brokers"], port=fields["port"], cluster_id=fields["cluster_id"])
        return cluster, bool(fields["formatted"])
    except (ValueError, KeyError, TypeError) as error:
        raise LocalKafkaError(
            f"{target}: cannot be read ({error!r}); remove the folder {data} to start anew", WRONG_INPUT
        ) from error


def check_choice(*, brokers: int, port: int) -> None:
    """Refuses counts and ports that cannot work.

    Raises:
        LocalKafkaError: brokers is not 1 or 3, or the port leaves no room for the others.
    """
    if brokers not in BROKER_COUNTS:
        raise LocalKafkaError(f"--brokers {brokers}: allowed are 1 and 3", WRONG_INPUT)
    if port != 0 and not 1024 <= port <= MAX_PORT:
        raise LocalKafkaError(f"--port {port}: allowed are 1024 to {MAX_PORT}, or 0 for any free one", WRONG_INPUT)


def is_free(port: int) -> bool:
    """Whether a server could listen on the port of this machine now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Java does: a port on which only closed connections linger counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port(brokers: int) -> int:
    """A first port for which the whole range of a cluster is free.

    Raises:
        LocalKafkaError: none was found in a hundred tries.
    """
    draw = random.Random(os.urandom(8))
    for _ in range(100):
        # Below the range from which the operating system takes ports of outgoing connections.
        port = draw.randrange(20_000, 32_000, 20)
        candidate = Cluster(data=Path(), brokers=brokers, port=port, cluster_id="")
        if all(is_free(taken) for taken in candidate.ports):
            return port
    raise LocalKafkaError("no free range of ports between 20000 and 32000")
