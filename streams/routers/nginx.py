"""Drives a running nginx: a file that it includes, checked by `nginx -t`, and a reload."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from streams.in_force import InForce
from streams.routers.baseline import baseline, shown
from streams.routers.nginx_apply import NginxError, apply
from streams.routers.nginx_file import configuration
from streams.routers.nginx_watchdog import Watchdog
from streams.routers.trouble import Trouble


class Nginx:
    """Keeps what is in force in the file, and a watchdog that puts the baseline there when this process cannot.

    nginx would stay on a share for ever. So the baseline is written before anything else, since what an earlier life
    left has no lease that anybody knows, and when this process ends, however it ends.

    Parameters
    ----------
    words : of the command that is nginx, with its options for another configuration if there is one.
    file : that nginx's configuration includes in its ``http`` block.
    prefix : of the variables in the file.
    """

    retries_s: Sequence[float] = (0.5, 1.0, 2.0, 5.0)

    def __init__(self, words: list[str], file: Path, prefix: str) -> None:
        self._words, self._file, self._prefix = words, file, prefix
        self._trouble = Trouble()
        self._watchdog = Watchdog(words, file)

    def begin(self, service: str, fallback: str) -> None:
        """Put the baseline there; an nginx that does not run yet will read it."""
        self.carry_out(baseline(service, fallback), 0)

    def carry_out(self, now: InForce, lease_ms: int) -> bool:
        """Write, check, reload. What nginx refuses is replaced by the baseline: the route before is not in force."""
        back = self._beat(now, lease_ms)
        try:
            apply(self._words, self._file, configuration(now, self._prefix))
        except NginxError as error:
            if now.epoch is not None:
                with suppress(NginxError):  # then it is not the route that nginx refuses; the file is the safe one
                    apply(self._words, self._file, back)
            return self._trouble.say(f"{shown(now)}: {error}")
        return self._trouble.over(f"{shown(now)}: nginx has it")

    def keep(self, now: InForce, lease_ms: int) -> bool:
        """Tell the watchdog that this process lives; False when the file is not what was written last."""
        self._beat(now, lease_ms)
        try:
            return self._file.read_text(encoding="utf-8") == configuration(now, self._prefix)
        except (OSError, UnicodeDecodeError):
            return False

    def end(self) -> None:
        """Put the baseline there."""
        self._watchdog.end()

    def _beat(self, now: InForce, lease_ms: int) -> str:
        # Before the change: whatever happens from here on, the share ends with the lease.
        text = configuration(baseline(now.service, now.fallback), self._prefix)
        self._watchdog.beat(text, lease_ms)
        return text
