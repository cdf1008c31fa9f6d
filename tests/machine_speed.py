"""How slow this machine is just now: limits in seconds are stated for a usual one, and a shared one may be slower."""

from __future__ import annotations

import statistics
import time
from typing import Final

from bench.judgement import thousand_numpy_calls

USUAL_MS: Final = 1.2
"""What the work takes on the machine of bench/README.md."""
SLOWNESS_MAX: Final = 4.0
"""A machine slower than this shows nothing any more."""


def slowness() -> float:
    """How many times as long as usual a thousand small numpy calls take, at least 1.

    Ask before the system under test is running: what it costs itself is no excuse for it.
    """
    return min(SLOWNESS_MAX, max(1.0, statistics.median(_work_ms() for _ in range(41)) / USUAL_MS))


def _work_ms() -> float:
    began_s = time.perf_counter()
    thousand_numpy_calls()
    return 1000 * (time.perf_counter() - began_s)
