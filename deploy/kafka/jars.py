"""Kafka's jars, fetched once by Maven into one folder that all local clusters share."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from deploy.kafka import toolchain
from deploy.kafka.locking import hold
from deploy.kafka.problem import MISSING_DEPENDENCY, LocalKafkaError

POM = Path(__file__).with_name("pom.xml")
_STAMP = "pom.sha256"


def ensure(libs: Path) -> None:
    """Makes sure that the folder holds exactly the jars that `pom.xml` asks for.

    Safe when several processes ask at once: one fetches beside the folder and renames, the others wait.

    Parameters:
        libs: the folder; a folder made by an older `pom.xml` is replaced.

    Raises:
        LocalKafkaError: Maven is missing or could not fetch.
    """
    wanted = hashlib.sha256(POM.read_bytes()).hexdigest()
    if _is_complete(libs, wanted):
        return
    libs.parent.mkdir(parents=True, exist_ok=True)
    with hold(libs.with_name(libs.name + ".lock")):
        if _is_complete(libs, wanted):
            return
        began = time.monotonic()
        print(f"fetching Kafka's jars into {libs}", file=sys.stderr, flush=True)
        fresh = libs.with_name(f"{libs.name}.fetching")
        shutil.rmtree(fresh, ignore_errors=True)
        _fetch(fresh)
        (fresh / _STAMP).write_text(wanted)
        _swap(fresh, libs)
        print(f"fetched in {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)


def _is_complete(libs: Path, wanted: str) -> bool:
    stamp = libs / _STAMP
    return stamp.is_file() and stamp.read_text() == wanted


def _fetch(target: Path) -> None:
    command = [
        toolchain.maven(),
        "-B",
        "-q",
        "-Dstyle.color=never",
        "-f",
        str(POM),
        "package",
        f"-Dkafka.libs={target}",
    ]
    # Maven must run on the Java that was found, not on an older one that happens to come first.
    environment = {**os.environ, "JAVA_HOME": str(Path(toolchain.java()).resolve().parents[1])}
    finished = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(), check=False
    )
    if finished.returncode != 0 or not any(target.glob("kafka_*.jar")):
        raise LocalKafkaError(
            f"Maven could not fetch Kafka's jars (exit code {finished.returncode}, see above); "
            "it needs a network connection or a filled ~/.m2",
            MISSING_DEPENDENCY,
        )


def _swap(fresh: Path, libs: Path) -> None:
    # A broker that still runs from the old folder keeps its open jars; only the names go away.
    old = libs.with_name(f"{libs.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if libs.exists():
        libs.rename(old)
    fresh.rename(libs)
    shutil.rmtree(old, ignore_errors=True)
