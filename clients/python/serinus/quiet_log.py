"""Logging that cannot flood: a broker that is down says so once in a while, not a thousand times."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from serinus import forks

INTERVAL_S = 30.0
_MAX_KEYS = 64

LOGGER = logging.getLogger("serinus")


class QuietLog:
    """Passes one message per key and interval; the next one says how many were held back.

    Parameters
    ----------
    logger: where the messages go.
    interval_s: seconds of silence after a message of the same key.
    monotonic_s: clock in seconds.

    Examples
    --------
    >>> log = QuietLog(logging.getLogger("serinus.example"), monotonic_s=lambda: 0.0)
    >>> [log.held_back("broker"), log.held_back("broker"), log.held_back("route")]
    [0, None, 0]
    """

    def __init__(
        self,
        logger: logging.Logger = LOGGER,
        *,
        interval_s: float = INTERVAL_S,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger = logger
        self._interval_s = interval_s
        self._monotonic_s = monotonic_s
        self.after_fork()
        forks.watch(self)
        self._said: dict[str, tuple[float, int]] = {}

    def after_fork(self) -> None:
        """Take a new lock: another thread of the parent may hold the old one."""
        # Reentrant: a log handler may itself do what logs.
        self._lock = threading.RLock()

    def held_back(self, key: str) -> int | None:
        """Return None if a message of this key must stay silent, else how many were silenced since the last."""
        now_s = self._monotonic_s()
        with self._lock:
            if key not in self._said and len(self._said) >= _MAX_KEYS:
                key = "other"
            said_s, silenced = self._said.get(key, (float("-inf"), 0))
            if now_s - said_s < self._interval_s:
                self._said[key] = (said_s, silenced + 1)
                return None
            self._said[key] = (now_s, 0)
            return silenced

    def warning(self, key: str, message: str) -> None:
        """Log a warning unless one of the same key was logged within the interval."""
        silenced = self.held_back(key)
        if silenced is not None:
            more = f" ({silenced} more like it were not logged)" if silenced else ""
            self._logger.warning("%s%s", message, more)


class QuietFilter(logging.Filter):
    """The same for a logger that librdkafka writes to: one record per level and interval, debugging excepted."""

    def __init__(self) -> None:
        super().__init__()
        self._quiet = QuietLog()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record may pass."""
        return record.levelno <= logging.DEBUG or self._quiet.held_back(record.levelname) is not None
