"""Keeps child processes running: restarts one that dies, gives up on one that keeps dying, stops all together."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import structlog

GRACE_S = 4.5
"""From SIGTERM to SIGKILL; with the rest of the way it keeps `serinus up` within 5 s."""

BACKOFF_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Pauses before the restarts of a child; after the last one it is given up."""

STEADY_S = 60.0
"""A child that lived this long starts again with the first pause."""

CONFIGURATION_EXIT = 2
"""A child that was told something wrong would be told the same again."""

POLL_S = 0.1

_log = structlog.stdlib.get_logger("serinus.up")


class Command(NamedTuple):
    """What to run under which name. ``log`` is a file that takes what it writes; None: it writes where we do."""

    name: str
    argv: Sequence[str]
    environ: Mapping[str, str]
    log: Path | None = None


class _Child:
    def __init__(self, command: Command) -> None:
        self.command = command
        self.restarts = 0
        self.start_at = 0.0
        self.started_at = 0.0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # A process group of its own: Ctrl-C on the terminal reaches the supervisor alone, which then stops children.
        log = self.command.log
        with nullcontext() if log is None else log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command.argv, env=dict(self.command.environ), process_group=0, stdout=out, stderr=out
            )
        self.started_at = time.monotonic()
        _log.info(f"{self.command.name} started", process=self.process.pid)


class Supervisor:
    """Runs the commands until told to stop.

    Parameters
    ----------
    commands : one child process each.
    stop : set it to stop them all.
    """

    def __init__(self, commands: Sequence[Command], stop: threading.Event) -> None:
        self._children = [_Child(command) for command in commands]
        self._stop = stop

    def run(self) -> int:
        """Run until ``stop`` is set, or until a child is given up.

        Returns
        -------
        0 after a stop in which every child ended in time; 2 if a child refused its configuration; 1 if one kept
        dying or had to be killed.
        """
        code = 0
        try:
            while not code and not self._stop.is_set():
                for child in self._children:
                    code = code or self._tend(child)
                self._stop.wait(POLL_S)
        finally:
            clean = self._end()
        return code or (0 if clean else 1)

    def _tend(self, child: _Child) -> int:
        """Start or restart one child where that is due; the exit code of giving up, else 0."""
        now = time.monotonic()
        if child.process is None:
            if now >= child.start_at:
                child.start()
            return 0
        ended = child.process.poll()
        if ended is None:
            return 0
        name, lived_s = child.command.name, now - child.started_at
        child.process = None
        if ended == CONFIGURATION_EXIT:
            _log.error(f"{name} refused its configuration; stopping")
            return CONFIGURATION_EXIT
        if lived_s >= STEADY_S:
            child.restarts = 0
        if child.restarts == len(BACKOFF_S):
            _log.error(f"{name} {_how(ended)} again after {child.restarts} restarts; stopping")
            return 1
        pause_s = BACKOFF_S[child.restarts]
        child.restarts += 1
        child.start_at = now + pause_s
        _log.warning(f"{name} {_how(ended)} after {lived_s:.1f} s; starting it again in {pause_s:g} s")
        return 0

    def _end(self) -> bool:
        """Ask every child to end, kill what is left after the grace; whether all ended by themselves."""
        running = [child for child in self._children if child.process is not None]
        for child in running:
            _signal(child.process, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_S
        clean = True
        for child in running:
            assert child.process is not None
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                clean = False
                _log.warning(f"{child.command.name} did not end within {GRACE_S:g} s; killing it")
                _signal(child.process, signal.SIGKILL)
                child.process.wait()
            _log.info(f"{child.command.name} stopped", exit_code=child.process.returncode)
        return clean


def stop_on_signals(stop: threading.Event) -> None:
    """Make SIGINT and SIGTERM set ``stop``; for the main thread."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())


def follow_parent(parent: int | None, interval_s: float = 0.5) -> None:
    """End this process by SIGTERM when ``parent`` is no longer its parent: a killed supervisor leaves nothing."""
    if parent is None:
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(interval_s)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="follow-parent", daemon=True).start()


def _signal(process: subprocess.Popen[bytes] | None, number: signal.Signals) -> None:
    if process is not None and process.poll() is None:
        process.send_signal(number)


def _how(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
