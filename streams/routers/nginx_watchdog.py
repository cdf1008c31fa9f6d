"""The process that puts nginx on the baseline when the one that drives it was killed, or stands still.

nginx's configuration knows no time. The driver tells its watchdog twice a second how long the lease still holds; when
that has passed without a word, or when the pipe ends because the driver has, the watchdog writes the baseline.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from streams.routers.nginx_apply import NginxError, apply

TRIES = 5
ENDED_S = 60.0
"""Longer than all tries take, unless each of them hangs."""


class Watchdog:
    """The driver's end of it; a watchdog that has died is replaced.

    Parameters
    ----------
    words, file : as `apply` takes them.
    """

    def __init__(self, words: list[str], file: Path) -> None:
        self._command = [sys.executable, "-m", "streams.routers.nginx_watchdog", str(file), *words]
        self._process: subprocess.Popen[bytes] | None = None

    def beat(self, baseline: str, lease_ms: int) -> None:
        """Say what to do at the end of the lease, and when that is; 0 ms: the baseline is there already."""
        line = json.dumps({"baseline": baseline, "lease_ms": lease_ms}).encode() + b"\n"
        if self._process is None or not self._told(self._process, line):
            self._process = self._start()
            self._told(self._process, line)

    def end(self) -> None:
        """Let it write the baseline and wait for that: the same way as when the driver is killed."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait(ENDED_S)

    def _start(self) -> subprocess.Popen[bytes]:
        # A session of its own: what ends the driver's terminal or group must not end it too.
        process = subprocess.Popen(self._command, stdin=subprocess.PIPE, bufsize=0, start_new_session=True)
        assert process.stdin is not None
        os.set_blocking(process.stdin.fileno(), False)
        return process

    @staticmethod
    def _told(process: subprocess.Popen[bytes], line: bytes) -> bool:
        assert process.stdin is not None
        try:
            process.stdin.write(line)
        except BlockingIOError:  # it has not read for a minute: it is stopped
            process.kill()
        except BrokenPipeError:
            pass
        else:
            return True
        process.stdin.close()
        process.wait()
        return False


def watch(words: list[str], file: Path) -> int:
    """Read beats from stdin until it ends; 0 when the baseline was written then."""
    told, until_s = "", float("inf")
    rest = b""
    while True:
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            until_s = float("inf") if _restored(words, file, told, tries=1) else time.monotonic() + 1.0
            continue
        if not select.select([0], [], [], min(left_s, 3600.0))[0]:
            continue
        data = os.read(0, 65_536)
        if not data:
            return 0 if not told or _restored(words, file, told, tries=TRIES) else 1
        *lines, rest = (rest + data).split(b"\n")
        if lines:
            beat = json.loads(lines[-1])
            told = beat["baseline"]
            until_s = time.monotonic() + beat["lease_ms"] / 1000 if beat["lease_ms"] else float("inf")


def _restored(words: list[str], file: Path, baseline: str, *, tries: int) -> bool:
    for left in reversed(range(tries)):
        try:
            apply(words, file, baseline)
        except NginxError as error:
            print(f"the baseline is not restored: {error}", file=sys.stderr, flush=True)  # noqa: T201 - no click here
            time.sleep(1.0 if left else 0.0)
        else:
            return True
    return False


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A service manager ends all processes of a unit at once; this one ends by the pipe.
        signal.signal(number, signal.SIG_IGN)
    sys.exit(watch(sys.argv[2:], Path(sys.argv[1])))
