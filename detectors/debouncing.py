"""Debouncing: an alarm needs several of the last opinions, so that one odd window wakes nobody."""

from __future__ import annotations

import msgspec


class Debounce(msgspec.Struct, frozen=True):
    """Alarm when at least ``fires`` of the ``of_last`` latest opinions were "unusual".

    Parameters
    ----------
    fires, of_last : 1 <= fires <= of_last <= 60.

    Raises
    ------
    ValueError : when they are not.

    >>> rule = Debounce(fires=2, of_last=3)
    >>> [rule.alarm(bits) for bits in (0b001, 0b101, 0b1010)]
    [False, True, False]
    """

    fires: int = 3
    of_last: int = 5

    def __post_init__(self) -> None:
        if not 1 <= self.fires <= self.of_last <= 60:
            raise ValueError(f"Debounce: 1 <= fires <= of_last <= 60, found fires={self.fires}, of_last={self.of_last}")

    def after(self, bits: int, unusual: bool) -> int:
        """The last opinions with one more; bit 0 is the newest."""
        return (bits << 1 | unusual) & (1 << self.of_last) - 1

    def alarm(self, bits: int) -> bool:
        """Whether enough of the last opinions were unusual."""
        return (bits & (1 << self.of_last) - 1).bit_count() >= self.fires
