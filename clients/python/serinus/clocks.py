"""The two clocks that the client reads, injected so that tests need no sleep."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Clock:
    """Wall time in Unix ms, and a monotonic time in seconds whose zero means nothing.

    Examples
    --------
    >>> Clock(now_ms=lambda: 1_763_632_800_000, monotonic_s=lambda: 7.5).now_ms()
    1763632800000
    """

    now_ms: Callable[[], int] = _wall_ms
    monotonic_s: Callable[[], float] = time.monotonic
