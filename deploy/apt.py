"""Installs a missing package where that is allowed: as root on Debian or Ubuntu. Standard library only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_POLICY = Path("/usr/sbin/policy-rc.d")


def may_install() -> bool:
    """Whether this process can install anything."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def is_offered(package: str) -> bool:
    """Whether the distribution has the package."""
    # A fresh container has no package lists: without an update nothing would seem to be offered.
    _apt("update", "-qq")
    answer = subprocess.run(["apt-cache", "show", "--no-all-versions", package], capture_output=True, check=False)
    return answer.returncode == 0


def install(package: str) -> bool:
    """Install it; what it brings of services is not started. False when apt-get failed; it has said why."""
    print(f"installing {package} with apt-get", file=sys.stderr, flush=True)
    with _no_services():
        if _apt("install", "-y", "-qq", "--no-install-recommends", package):
            return True
        _apt("update", "-qq")
        return _apt("install", "-y", "-qq", "--no-install-recommends", package)


def program(name: str, package: str) -> str:
    """Path of a server program, installed first if it is missing and may be; its service is not started.

    Raises:
        FileNotFoundError: there is none; the text says what to install.
    """
    # /usr/sbin is not on everybody's search path.
    where = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    found = shutil.which(name, path=where)
    if found is None and may_install() and install(package):
        found = shutil.which(name, path=where)
        if shutil.which("systemctl"):
            subprocess.run(["systemctl", "disable", "--now", package], capture_output=True, check=False)
    if found is None:
        raise FileNotFoundError(f"{name} is missing: install it (Debian, Ubuntu: apt-get install {package})")
    return found


@contextmanager
def _no_services() -> Iterator[None]:
    """Debian's own way to say that packages must not start their services; one that is there already stays."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)


def _apt(*arguments: str) -> bool:
    # Its output goes to stderr: stdout is for the bootstrap servers.
    finished = subprocess.run(
        ["apt-get", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdout=sys.stderr.fileno(),
        check=False,
    )
    return finished.returncode == 0
