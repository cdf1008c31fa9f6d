"""Programs some tests run for real: found, or installed as Java is, as root on Debian and Ubuntu. Never skipped."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

TIMEOUT_S = 280


def program(name: str, *, package: str) -> str:
    """The path of a program; where there is none and none may be installed the test fails, and says what is missing."""
    found = shutil.which(name)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get") is not None:
        if not _installed(package):
            # A fresh container has no package lists.
            _apt("update", "-qq")
            _installed(package)
        found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is missing: apt-get install {package}, or put it on the PATH")
    return found


def _installed(package: str) -> bool:
    return _apt("install", "-y", "-qq", "--no-install-recommends", package)


def _apt(*words: str) -> bool:
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(["apt-get", *words], env=environ, capture_output=True, timeout=TIMEOUT_S, check=False)
    return done.returncode == 0
