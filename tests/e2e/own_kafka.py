"""A Kafka of one's own, for what the shared one cannot give: a port that was silent before, or nobody else's load."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import LOCAL_KAFKA


@contextmanager
def own_kafka(
    folder: Path, *, port: int = 0, heap: str = "384m", properties: Path | None = None, brokers: int = 1
) -> Iterator[str]:
    """Start a cluster, give its address, stop it and remove its data.

    Parameters
    ----------
    folder : for its data.
    port : 0 for any free one.
    properties : settings of the brokers that come after the usual ones.
    brokers : how many, 1 or 3.
    """
    where = ["--port", str(port), "--data", str(folder)]
    start = start_command(folder, port=port, heap=heap, properties=properties, brokers=brokers)
    done = subprocess.run(start, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    try:
        yield done.stdout.strip().splitlines()[-1].removeprefix("bootstrap.servers=")
    finally:
        subprocess.run([sys.executable, str(LOCAL_KAFKA), "stop", *where, "--remove"], timeout=60, check=True)


def start_command(
    folder: Path, *, port: int = 0, heap: str = "384m", properties: Path | None = None, brokers: int = 1
) -> list[str]:
    """The command that starts whatever of the cluster is not running."""
    start = [sys.executable, str(LOCAL_KAFKA), "start", "--detach", "--heap", heap, "--brokers", str(brokers)]
    start += ["--port", str(port), "--data", str(folder)]
    return start if properties is None else [*start, "--properties", str(properties)]
