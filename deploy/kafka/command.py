"""The command line of `local.py`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from deploy.kafka import cluster as local
from deploy.kafka import processes
from deploy.kafka.layout import Cluster, check_choice
from deploy.kafka.problem import WRONG_INPUT, LocalKafkaError

ROOT = Path(__file__).resolve().parents[2]
# Three brokers share a small machine.
_HEAP = {1: "1g", 3: "512m"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        0 = done, 1 = it did not work, 2 = wrong input, 3 = Java, Maven or the network is missing.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        options = _parser().parse_args(arguments)
        run: Callable[[argparse.Namespace], int] = options.run
        return run(options)
    except LocalKafkaError as error:
        local.warn(f"local kafka: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        local.warn("local kafka: interrupted")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="local.py", description="A real Apache Kafka on this machine.")
    commands = parser.add_subparsers(required=True, metavar="start|stop")
    start = commands.add_parser("start", help="start it, or what of it is not running")
    stop = commands.add_parser("stop", help="stop it")
    for command in (start, stop):
        command.add_argument(
            "--port",
            type=int,
            default=_environment_number("KAFKA_PORT", 9092),
            help="first broker's port (KAFKA_PORT, 9092); 0 = any free one",
        )
        command.add_argument(
            "--data",
            type=Path,
            default=os.environ.get("KAFKA_DATA"),
            help="folder of this cluster (KAFKA_DATA, .kafka/data-PORT)",
        )
    start.add_argument("--brokers", type=int, default=_environment_number("BROKERS", 1), help="1 or 3 (BROKERS, 1)")
    start.add_argument(
        "--libs", type=Path, default=ROOT / ".kafka" / "libs", help="folder of Kafka's jars (.kafka/libs)"
    )
    start.add_argument("--properties", type=Path, help="file of broker settings that come after ours, KEY=VALUE lines")
    start.add_argument("--heap", help="memory of each broker (1g for one, 512m for three)")
    start.add_argument("--timeout", type=float, default=90.0, help="seconds until it must serve (90)")
    start.add_argument("--detach", action="store_true", help="return when it serves, and leave it running")
    start.set_defaults(run=_start)
    stop.add_argument("--remove", action="store_true", help="delete its data as well")
    stop.set_defaults(run=_stop)
    return parser


def _environment_number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    try:
        return int(text) if text else default
    except ValueError as error:
        raise LocalKafkaError(f"{name}={text}: must be a whole number", WRONG_INPUT) from error


def _properties(file: Path | None) -> dict[str, str]:
    """The settings of a file; `{node}` in a value becomes the broker's number."""
    if file is None:
        return {}
    try:
        lines = [line.strip() for line in file.read_text().splitlines()]
    except OSError as error:
        raise LocalKafkaError(f"--properties {file}: cannot be read: {error}", WRONG_INPUT) from error
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise LocalKafkaError(
            f"--properties {file}: found {wrong[0]!r}; allowed are KEY=VALUE and # lines", WRONG_INPUT
        )
    return {name.strip(): value.strip() for name, _, value in pairs}


def _data(options: argparse.Namespace) -> Path:
    if options.data is None and options.port == 0:
        raise LocalKafkaError("--port 0 needs --data: a free port names no folder", WRONG_INPUT)
    folder: Path = options.data or ROOT / ".kafka" / f"data-{options.port}"
    return Path(folder).resolve()


def _start(options: argparse.Namespace) -> int:
    check_choice(brokers=options.brokers, port=options.port)
    began = time.monotonic()
    started = local.start(
        local.Request(
            data=_data(options),
            brokers=options.brokers,
            port=options.port,
            libs=options.libs.resolve(),
            heap=options.heap or _HEAP[options.brokers],
            timeout_s=options.timeout,
            properties=_properties(options.properties),
        )
    )
    if started.nodes:
        local.warn(f"local kafka: serves after {time.monotonic() - began:.1f} s, data in {started.cluster.data}")
    else:
        local.warn("local kafka: already running")
    print(f"bootstrap.servers={started.cluster.bootstrap}", flush=True)
    if options.detach or not started.nodes:
        return 0
    return _stay(started.cluster)


def _stay(cluster: Cluster) -> int:
    try:
        while all(processes.running_pid(cluster, node) is not None for node in cluster.nodes):
            time.sleep(0.3)
    except KeyboardInterrupt:
        local.stop(cluster.data)
        return 0
    crashed = local.crashed_nodes(cluster)
    local.stop(cluster.data)
    if crashed:
        raise LocalKafkaError(f"broker {crashed[0]} has ended; see {cluster.output_file(crashed[0])}")
    return 0


def _stop(options: argparse.Namespace) -> int:
    data = _data(options)
    outcomes = local.stop(data)
    for node, outcome in outcomes.items():
        local.warn(f"local kafka: broker {node} {outcome}")
    if not outcomes:
        local.warn(f"local kafka: nothing to stop in {data}")
    if options.remove:
        local.remove(data)
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
