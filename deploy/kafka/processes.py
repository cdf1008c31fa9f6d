"""Broker processes: recognised by their command line, so that a stale pid file can never hit a stranger."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from deploy.kafka.layout import Cluster


def running_pid(cluster: Cluster, node: int) -> int | None:
    """Process id of the node if it runs; None if it does not, whatever its pid file says."""
    try:
        pid = int(cluster.pid_file(node).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return pid if is_ours(pid, cluster.properties_file(node)) else None


def is_ours(pid: int, properties_file: Path) -> bool:
    """Whether the process lives and was started with this configuration file."""
    # The file is the last argument; the blank keeps /a/x from passing for /b/a/x.
    return _command_line(pid).rstrip().endswith(f" {properties_file}")


def spawn(cluster: Cluster, node: int, command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Starts a node in a session of its own, so that Ctrl-C in the terminal does not reach it."""
    with cluster.output_file(node).open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=cluster.home(node),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    cluster.pid_file(node).write_text(f"{process.pid}\n")
    return process


def terminate(cluster: Cluster, nodes: Sequence[int], *, grace_s: float) -> dict[int, str]:
    """Ends nodes: SIGTERM to all, then SIGKILL to those that have not gone in time.

    All at once: a node that goes last and alone waits in vain for the quorum that has to let it go.

    Parameters:
        nodes: which ones.
        grace_s: seconds between the two signals.

    Returns:
        For each node "stopped", "killed" or "not running".
    """
    pids = {node: running_pid(cluster, node) for node in nodes}
    living = {node: pid for node, pid in pids.items() if pid is not None}
    for pid in living.values():
        _signal(pid, signal.SIGTERM)
    stubborn = _wait_gone(cluster, living, limit_s=grace_s)
    for node in stubborn:
        _signal(living[node], signal.SIGKILL)
    _wait_gone(cluster, stubborn, limit_s=10)
    outcomes = {}
    for node in nodes:
        cluster.pid_file(node).unlink(missing_ok=True)
        outcomes[node] = "killed" if node in stubborn else "stopped" if node in living else "not running"
    return outcomes


def _command_line(pid: int) -> str:
    try:
        # Empty for a zombie: a killed broker whose parent has not looked yet counts as gone.
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        if Path("/proc/self").exists():
            return ""
    answer = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return answer.stdout


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        # It ended between the look and the signal, which is what was wanted.
        return


def _wait_gone(cluster: Cluster, nodes: Iterable[int], *, limit_s: float) -> list[int]:
    """Waits for the nodes to end; returns those that are still there at the limit."""
    until = time.monotonic() + limit_s
    left = list(nodes)
    while left and time.monotonic() <= until:
        left = [node for node in left if running_pid(cluster, node) is not None]
        if left:
            time.sleep(0.05)
    return left
