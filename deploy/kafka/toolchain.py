"""Finds Java and Maven; installs them where that is allowed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from deploy import apt
from deploy.kafka.problem import MISSING_DEPENDENCY, LocalKafkaError

MIN_JAVA = 17
_JRE_PACKAGES = ("openjdk-17-jre-headless", "default-jre-headless")


def java_version(output: str) -> int | None:
    """The major version in what `java -version` prints, None if there is none.

    >>> java_version('openjdk version "17.0.15" 2025-04-15')
    17
    >>> java_version('java version "1.8.0_392"')
    8
    """
    found = re.search(r'version "(?:1\.)?(\d+)', output)
    return int(found.group(1)) if found else None


def find_java() -> str | None:
    """Path of a Java that is new enough: from JAVA_HOME, the search path or the distribution's folder."""
    candidates = [Path(os.environ["JAVA_HOME"]) / "bin" / "java"] if os.environ.get("JAVA_HOME") else []
    on_path = shutil.which("java")
    if on_path:
        candidates.append(Path(on_path))
    candidates.extend(sorted(Path("/usr/lib/jvm").glob("*/bin/java")))
    for candidate in candidates:
        try:
            answer = subprocess.run(
                [str(candidate), "-version"], capture_output=True, text=True, timeout=30, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if (java_version(answer.stderr) or 0) >= MIN_JAVA:
            return str(candidate)
    return None


def java() -> str:
    """Path of Java 17 or newer, installed first if it is missing and may be.

    Raises:
        LocalKafkaError: there is none; the text says what to install.
    """
    found = find_java()
    if found is None and apt.may_install():
        available = [name for name in _JRE_PACKAGES if apt.is_offered(name)]
        if available:
            _install(available[0])
            found = find_java()
    if found is None:
        raise LocalKafkaError(
            f"Java {MIN_JAVA} or newer is missing: install a JRE "
            f"(Debian, Ubuntu: apt-get install {_JRE_PACKAGES[1]}; macOS: brew install openjdk) or set JAVA_HOME",
            MISSING_DEPENDENCY,
        )
    return found


def maven() -> str:
    """Path of Maven, installed first if it is missing and may be.

    Raises:
        LocalKafkaError: there is none; the text says what to install.
    """
    found = shutil.which("mvn")
    if found is None and apt.may_install():
        _install("maven")
        found = shutil.which("mvn")
    if found is None:
        raise LocalKafkaError(
            "Maven is missing, and Kafka's jars are not here yet: install it "
            "(Debian, Ubuntu: apt-get install maven; macOS: brew install maven)",
            MISSING_DEPENDENCY,
        )
    return found


def _install(package: str) -> None:
    if not apt.install(package):
        raise LocalKafkaError(f"apt-get install {package} failed, see above", MISSING_DEPENDENCY)
