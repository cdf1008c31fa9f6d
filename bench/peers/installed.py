"""The programs of the peers: environments are made, and the Java program is built, where they are missing."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

from deploy.kafka import toolchain
from deploy.kafka.problem import LocalKafkaError

HERE = Path(__file__).parent
VENVS = HERE / ".venvs"
JAVA = HERE / "kafka_streams"
INSTALL_S = 600


class NotInstalledError(Exception):
    """A peer cannot run here; the text says why."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One program.

    Parameters
    ----------
    events : which of the topics it reads, by size: ``full``, ``some``, ``few`` or ``packed``.
    bar : how many times as fast Serinus shall be; None for Serinus itself.
    packages : what is installed for it, pinned; empty: our own environment.
    """

    name: str
    module: str
    events: str
    bar: float | None
    packages: tuple[str, ...] = ()

    def command(self) -> list[str]:
        """What starts it, without its arguments.

        Raises
        ------
        NotInstalledError : when what it needs cannot be installed.
        """
        if self.module == KAFKA_STREAMS:
            return java_program()
        python = environment(self.module, self.packages) if self.packages else sys.executable
        return [str(python), "-m", f"bench.peers.{self.module}"]


KAFKA_STREAMS = "kafka_streams"
PEERS = (
    Peer("Serinus, JSON records", "on_serinus", "full", None),
    Peer("Serinus, packed records", "on_serinus", "packed", None),
    Peer("Kafka Streams 4.1.2, one thread", KAFKA_STREAMS, "full", 1.25),
    Peer("quix-streams 3.28.1", "on_quix_streams", "some", 20.0, ("quixstreams==3.28.1",)),
    Peer("bytewax 0.21.1, one worker", "on_bytewax", "some", 3.0, ("bytewax[kafka]==0.21.1", "orjson==3.13.0")),
    Peer("Faust 0.15.3, plain agent and table", "on_faust", "few", 80.0),
)


def environment(name: str, packages: tuple[str, ...]) -> Path:
    """The Python of an environment with these packages, made anew when they changed."""
    folder = VENVS / name
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    wanted = "\n".join(packages)
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    venv.create(folder, clear=True, with_pip=True)
    _run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages])
    stamp.write_text(wanted, encoding="utf-8")
    return python


def java_program() -> list[str]:
    """What starts the Kafka Streams program, built anew when its sources changed."""
    target = JAVA / "target"
    stamp = target / "sources.sha256"
    digest = hashlib.sha256()
    for path in (JAVA / "pom.xml", *sorted((JAVA / "src").rglob("*.java"))):
        digest.update(path.read_bytes())
    try:
        if not stamp.exists() or stamp.read_text(encoding="utf-8") != digest.hexdigest():
            _run([toolchain.maven(), "-B", "-q", "-f", str(JAVA / "pom.xml"), "package"])
            stamp.write_text(digest.hexdigest(), encoding="utf-8")
        return [toolchain.java(), "-cp", f"{target / 'peer.jar'}:{target / 'libs' / '*'}", "serinus.bench.Peer"]
    except LocalKafkaError as error:
        raise NotInstalledError(str(error)) from error


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalledError(str(error)) from error
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines() or ["it said nothing"]
        raise NotInstalledError(f"{Path(command[0]).name} ended with {done.returncode}: {said[-1]}")
