"""How often an address has shown a wrong token: guessing is slowed down, and the memory for it is bounded."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

ATTEMPTS_MAX: Final = 10
WINDOW_S: Final = 60.0
ADDRESSES_MAX: Final = 1_024


class FailedAttempts:
    """Counts wrong tokens by address within windows of a minute. Knows no clock: it is told the time.

    >>> attempts = FailedAttempts()
    >>> for _ in range(10):
    ...     attempts.failed("10.0.0.7", now_s=5.0)
    >>> attempts.wait_s("10.0.0.7", now_s=20.0), attempts.wait_s("10.0.0.8", now_s=20.0)
    (45.0, 0.0)
    >>> attempts.wait_s("10.0.0.7", now_s=65.0)
    0.0
    """

    def __init__(self) -> None:
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def failed(self, address: str, *, now_s: float) -> None:
        """One more wrong token; the address that was quiet for longest is forgotten when there are too many."""
        started_s, count = self._windows.pop(address, (now_s, 0))
        if now_s - started_s >= WINDOW_S:
            started_s, count = now_s, 0
        self._windows[address] = (started_s, count + 1)
        while len(self._windows) > ADDRESSES_MAX:
            self._windows.popitem(last=False)

    def wait_s(self, address: str, *, now_s: float) -> float:
        """How long the address has to wait before it is listened to again; 0 when it need not."""
        started_s, count = self._windows.get(address, (now_s, 0))
        return max(0.0, started_s + WINDOW_S - now_s) if count >= ATTEMPTS_MAX else 0.0
