"""Drives a running HAProxy: one value of one map, by its runtime API, and the same in the map's file."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from pathlib import Path

from streams.in_force import InForce
from streams.routers.atomic_file import replace
from streams.routers.baseline import baseline, shown
from streams.routers.haproxy_value import TooLongError, value
from streams.routers.trouble import Trouble

TIMEOUT_S = 2.0
SAME_END_MS = 100
"""Ends of a lease that differ by less are those of one lease, looked at twice; the file is not written for them."""


class RefusedError(Exception):
    """HAProxy answered a command with something."""


class HAProxy:
    """Keeps what is in force in HAProxy's memory, and in the file that it reads when it starts.

    Parameters
    ----------
    path : of the socket of the runtime API, with the level admin.
    map_path : of the map, spelled as in HAProxy's configuration, by which the API knows it.
    """

    retries_s: Sequence[float] = (0.2, 0.5, 1.0)

    def __init__(self, path: Path, map_path: str) -> None:
        self._path, self._map_path = path, map_path
        self._end: tuple[int | None, int, int] = (None, 0, 0)
        """Epoch, when its lease ends, and how long that was from the moment at which it was first known."""
        self._written = ""
        self._trouble = Trouble()

    def carry_out(self, now: InForce, lease_ms: int) -> bool:
        """Write the file, then tell the running HAProxy: one that starts in between has the new value already."""
        done = True
        try:
            text = self._value(now, lease_ms)
        except TooLongError as error:
            text = value(baseline(now.service, now.fallback), until_ms=0, lease_ms=0)
            done = self._trouble.say(f"{shown(now)}: {error}; everybody is on {now.fallback}")
        try:
            if text != self._written:
                replace(Path(self._map_path), f"route {text}\n")
                self._written = text
        except OSError as error:
            done = self._trouble.say(f"{shown(now)}: {self._map_path} cannot be written: {error.strerror}")
        try:
            self._set(text)
        except (OSError, RefusedError) as error:
            return self._trouble.say(f"{shown(now)}: HAProxy at {self._path}: {error}")
        return self._trouble.over(f"{shown(now)}: HAProxy has it") if done else False

    keep = carry_out
    """Again and again: renewals of the lease, and a HAProxy that was reloaded and read an older file."""

    def _value(self, now: InForce, lease_ms: int) -> str:
        until_ms = time.time_ns() // 1_000_000 + lease_ms if lease_ms else 0
        epoch, known_ms, _ = self._end
        if epoch != now.epoch or abs(until_ms - known_ms) >= SAME_END_MS:
            self._end = now.epoch, until_ms, lease_ms
        return value(now, until_ms=self._end[1], lease_ms=self._end[2])

    def _set(self, text: str) -> None:
        answer = self._ask(f"set map {self._map_path} route {text}")
        if answer == "entry not found.":  # the file was empty when HAProxy read it
            answer = self._ask(f"add map {self._map_path} route {text}")
        if answer:
            raise RefusedError(answer.splitlines()[0])

    def _ask(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as api:
            api.settimeout(TIMEOUT_S)
            api.connect(str(self._path))
            api.sendall(command.encode() + b"\n")
            answer = b""
            while part := api.recv(4096):
                answer += part
        return answer.decode(errors="replace").strip()
