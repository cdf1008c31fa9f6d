"""The broker configuration of a local cluster."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from deploy.kafka.layout import HOST, Cluster

MAX_MESSAGE_BYTES = 10 * 1024 * 1024


def settings(cluster: Cluster, node: int) -> dict[str, str]:
    """The settings of one node, by Kafka's own names.

    Parameters:
        node: 1 to `cluster.brokers`.
    """
    replicas = str(cluster.brokers)
    in_sync = "2" if cluster.brokers > 1 else "1"
    voters = ",".join(f"{voter}@{HOST}:{cluster.controller_port(voter)}" for voter in cluster.nodes)
    return {
        "process.roles": "broker,controller",
        "node.id": str(node),
        "controller.quorum.voters": voters,
        "listeners": (
            f"PLAINTEXT://{HOST}:{cluster.broker_port(node)},CONTROLLER://{HOST}:{cluster.controller_port(node)}"
        ),
        "advertised.listeners": f"PLAINTEXT://{HOST}:{cluster.broker_port(node)}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(cluster.log_dir(node)),
        # A mistyped topic must be an error, and a topic's settings are its creator's business.
        "auto.create.topics.enable": "false",
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "message.max.bytes": str(MAX_MESSAGE_BYTES),
        "replica.fetch.max.bytes": str(MAX_MESSAGE_BYTES),
        # Tests join groups all the time and kill members on purpose: neither may cost the default seconds.
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        # The defaults are sized for a server: 50 partitions for offsets, 10 MiB of index for each partition,
        # 128 MiB of heap for the cleaner.
        "offsets.topic.num.partitions": "8",
        "transaction.state.log.num.partitions": "4",
        "log.segment.bytes": str(256 * 1024 * 1024),
        "log.index.size.max.bytes": str(1024 * 1024),
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
        "metadata.log.segment.bytes": str(16 * 1024 * 1024),
        "num.network.threads": "2",
        "num.io.threads": "4",
    }


def render(cluster: Cluster, node: int, extra: Mapping[str, str] = MappingProxyType({})) -> str:
    """The node's `server.properties` as text; backslashes are escaped as Java's properties ask for.

    Parameters:
        extra: settings that come after ours; `{node}` in a value becomes the node's id.
    """
    asked = {name: value.replace("{node}", str(node)) for name, value in extra.items()}
    lines = (f"{name}={value}" for name, value in (settings(cluster, node) | asked).items())
    return "".join(line.replace("\\", "\\\\") + "\n" for line in lines)
