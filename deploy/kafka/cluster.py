"""Starts and stops a local cluster; both may be repeated, and both leave a clear state behind."""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path

from deploy.kafka import jars, metadata, processes, properties, toolchain
from deploy.kafka.layout import HOST, Cluster, free_port, is_free, read_record, write_record
from deploy.kafka.locking import hold
from deploy.kafka.problem import WRONG_INPUT, LocalKafkaError

STOP_GRACE_S = 15.0
_LOG4J = Path(__file__).with_name("log4j2.properties")


@dataclass(frozen=True)
class Request:
    """What to start.

    Parameters:
        data: folder of the cluster.
        brokers: 1 or 3.
        port: of the first broker; 0 for the one it had before, or any free one.
        libs: folder of Kafka's jars.
        heap: of each broker, as `java -Xmx` takes it.
        timeout_s: seconds until all brokers must serve, > 0.
        properties: settings of the brokers that come after ours.
    """

    data: Path
    brokers: int
    port: int
    libs: Path
    heap: str
    timeout_s: float
    properties: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Started:
    """What came of it: the cluster, and the nodes that this call brought up (none if all were running)."""

    cluster: Cluster
    nodes: tuple[int, ...]


def start(request: Request) -> Started:
    """Brings up whatever of the cluster is not running and waits until all of it serves clients.

    Raises:
        LocalKafkaError: a port is taken, the folder belongs to another cluster, Java or Maven is missing,
            or a broker did not come up. Brokers that this call started are stopped again.
    """
    request.data.mkdir(parents=True, exist_ok=True)
    with hold(request.data / "lock"):
        cluster, formatted = _resolve(request)
        missing = tuple(node for node in cluster.nodes if processes.running_pid(cluster, node) is None)
        _check_ports(cluster, missing)
        if missing:
            _launch(cluster, missing, request, formatted=formatted)
        else:
            _await_serving(cluster, {}, timeout_s=request.timeout_s)
        return Started(cluster, missing)


def stop(data: Path) -> dict[int, str]:
    """Stops every broker of a data folder.

    Returns:
        For each node "stopped", "killed" or "not running"; empty if the folder holds no cluster.
    """
    if not data.is_dir():
        return {}
    with hold(data / "lock"):
        record = read_record(data)
        if record is None:
            return {}
        return processes.terminate(record[0], record[0].nodes, grace_s=STOP_GRACE_S)


def crashed_nodes(cluster: Cluster) -> list[int]:
    """The nodes that ended although nobody stopped them."""
    # A stop that is under way holds the lock and takes the pid files away at its end; a crash leaves them.
    with hold(cluster.data / "lock"):
        return [
            node
            for node in cluster.nodes
            if cluster.pid_file(node).exists() and processes.running_pid(cluster, node) is None
        ]


def remove(data: Path) -> None:
    """Deletes a stopped cluster's folder with everything in it."""
    # Only a folder with our record: a mistyped path must not cost anybody a home folder.
    if data.is_dir() and read_record(data) is not None:
        shutil.rmtree(data)


def _resolve(request: Request) -> tuple[Cluster, bool]:
    record = read_record(request.data)
    if record is None or not record[1]:
        # Before the formatting was complete no broker ever ran here: nothing can be lost.
        # Kafka's own form of an id; its tools take one that begins with "-" for an option.
        identity = "k" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
        port = request.port or free_port(request.brokers)
        return Cluster(request.data, request.brokers, port, identity), False
    cluster, _ = record
    if cluster.brokers != request.brokers:
        raise LocalKafkaError(
            f"{request.data}: holds a cluster with --brokers {cluster.brokers}, asked for {request.brokers}; "
            "choose another --data, or remove it with `stop --remove`",
            WRONG_INPUT,
        )
    running = any(processes.running_pid(cluster, node) for node in cluster.nodes)
    if request.port in (0, cluster.port):
        free = running or all(is_free(port) for port in cluster.ports)
        port = cluster.port if request.port or free else free_port(request.brokers)
    elif running:
        raise LocalKafkaError(
            f"{request.data}: already runs on port {cluster.port}, asked for {request.port}; stop it first",
            WRONG_INPUT,
        )
    else:
        port = request.port
    return replace(cluster, port=port), True


def _check_ports(cluster: Cluster, missing: tuple[int, ...]) -> None:
    for node in missing:
        for port in (cluster.broker_port(node), cluster.controller_port(node)):
            if not is_free(port):
                who = "another program"
                if metadata.live_ports(HOST, port, timeout_s=0.5) is not None:
                    who = "another Kafka, not started from this folder,"
                raise LocalKafkaError(f"port {port}: {who} listens there; stop it or choose another --port")


def _launch(cluster: Cluster, missing: tuple[int, ...], request: Request, *, formatted: bool) -> None:
    jars.ensure(request.libs)
    java = [toolchain.java(), f"-Dlog4j2.configurationFile={_LOG4J}", "-cp", f"{request.libs}/*"]
    if not formatted:
        write_record(cluster, formatted=False)
        _format(cluster, java, request.properties)
    write_record(cluster, formatted=True)
    children: dict[int, subprocess.Popen[bytes]] = {}
    try:
        for node in missing:
            cluster.properties_file(node).write_text(properties.render(cluster, node, request.properties))
            children[node] = processes.spawn(cluster, node, _broker_command(cluster, node, java, request.heap))
        _await_serving(cluster, children, timeout_s=request.timeout_s)
    except BaseException:
        # Interrupted or failed: half a cluster helps nobody, and would hold the ports.
        processes.terminate(cluster, tuple(children), grace_s=STOP_GRACE_S)
        raise


def _broker_command(cluster: Cluster, node: int, java: list[str], heap: str) -> list[str]:
    tuning = [
        f"-Xmx{heap}",
        "-XX:+UseG1GC",
        "-XX:MaxGCPauseMillis=20",
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.awt.headless=true",
    ]
    return [java[0], *tuning, *java[1:], "kafka.Kafka", str(cluster.properties_file(node))]


def _format(cluster: Cluster, java: list[str], extra: dict[str, str]) -> None:
    runs: dict[int, subprocess.Popen[str]] = {}
    for node in cluster.nodes:
        shutil.rmtree(cluster.home(node), ignore_errors=True)
        cluster.log_dir(node).mkdir(parents=True)
        cluster.properties_file(node).write_text(properties.render(cluster, node, extra))
        command = [java[0], "-Xmx256m", "-XX:TieredStopAtLevel=1", *java[1:], "kafka.tools.StorageTool"]
        command += ["format", "-t", cluster.cluster_id, "-c", str(cluster.properties_file(node))]
        runs[node] = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    outputs = {node: run.communicate(timeout=120)[0] for node, run in runs.items()}
    for node, run in runs.items():
        if run.returncode != 0:
            raise LocalKafkaError(f"{cluster.log_dir(node)}: could not be formatted: {_last(outputs[node])}")


def _await_serving(cluster: Cluster, children: dict[int, subprocess.Popen[bytes]], *, timeout_s: float) -> None:
    wanted = {cluster.broker_port(node) for node in cluster.nodes}
    waiting = set(wanted)
    until = time.monotonic() + timeout_s
    while waiting:
        for node, child in children.items():
            if child.poll() is not None:
                raise LocalKafkaError(
                    f"broker {node} ended with exit code {child.returncode} while starting: "
                    f"{_last(cluster.output_file(node).read_text())} ({cluster.output_file(node)})"
                )
        # Every single one must know all the others: a client may ask any of them.
        waiting = {port for port in waiting if metadata.live_ports(HOST, port) != wanted}
        if waiting and time.monotonic() > until:
            files = ", ".join(str(cluster.output_file(node)) for node in cluster.nodes)
            raise LocalKafkaError(f"no answer on port {min(waiting)} within {timeout_s:.0f} s; see {files}")
        if waiting:
            time.sleep(0.1)


def _last(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if "Exception" in line or "ERROR" in line or "FATAL" in line]
    return (telling or lines or ["it printed nothing"])[-1]


def warn(message: str) -> None:
    """Says something to the person at the terminal; stdout is kept for the bootstrap servers."""
    print(message, file=sys.stderr, flush=True)
