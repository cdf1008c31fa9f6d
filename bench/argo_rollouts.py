"""Argo Rollouts as a rule: its own analysis code (bench/argo, a Go module) judges a measurement a minute."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import IO

from bench.arms import Second, Windows

FOLDER = Path(__file__).parent / "argo"
PROGRAM = FOLDER / "build" / "judge"
CHECK_S = 60
FAILURE_LIMIT = 4
"""Argo fails a metric when more measurements than this have failed: the fifth, as for the model of fixed thresholds."""


def build() -> bool:
    """Compile the program with the Go toolchain that is there (some minutes, once); False without one."""
    go = shutil.which("go")
    if PROGRAM.exists() or go is None:
        return PROGRAM.exists()
    subprocess.run([go, "build", "-o", str(PROGRAM), "."], cwd=FOLDER, check=True)
    return True


class ArgoRollouts:
    """A fixed threshold for each metric, the failures of each counted by Argo Rollouts 1.9.0.

    Parameters
    ----------
    limits : metric to the largest mean allowed in a minute.
    """

    def __init__(self, limits: dict[str, float]) -> None:
        self.name = "Argo Rollouts 1.9.0, its own code"
        self._windows = Windows(CHECK_S)
        self._program = subprocess.Popen([PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._say({"limits": limits, "failure_limit": FAILURE_LIMIT})

    def failed(self, second: Second) -> bool:
        window = self._windows.add(second)
        if window is None:
            return False
        _, canary = window
        self._say({"values": {name: arm.mean for name, arm in canary.items() if arm.n}})
        return _open(self._program.stdout).readline().strip() == "Failed"

    def refused(self) -> bool:
        return False

    def close(self) -> None:
        """End the program."""
        with self._program:
            _open(self._program.stdin).close()

    def _say(self, what: dict[str, object]) -> None:
        into = _open(self._program.stdin)
        into.write(json.dumps(what) + "\n")
        into.flush()


def _open(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream
