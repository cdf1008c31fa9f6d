"""Tiers: how wide a window of event time is, by its age. Old panes are merged into wider ones, never subtracted from.

Where a pane belongs is a function of the service, the pane and the service's time in the log, and of nothing else:
every worker that has folded the same inputs holds the same windows, so that recovery can tell what contains what.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import NamedTuple

from schemas.report import PANE_MS

HOUR_MS = 3_600_000


class Tier(NamedTuple):
    """Windows of ``panes`` panes each, kept until they are ``kept_ms`` old."""

    panes: int
    kept_ms: int


TIERS = (Tier(1, HOUR_MS), Tier(6, 4 * HOUR_MS), Tier(60, 24 * HOUR_MS))
"""Ten seconds, a minute, ten minutes. Part of the format of stored windows, not a setting: a worker that cuts otherwise
than the one before it would count what came in between twice, or not at all. Each width divides the next one."""


class Span(NamedTuple):
    """The panes of one window: ``panes`` of them from ``first`` on; ``first`` is a multiple of ``panes``."""

    first: int
    panes: int

    @property
    def bounds(self) -> tuple[int, int]:
        """Start (inclusive) and end (exclusive), Unix ms."""
        return self.first * PANE_MS, (self.first + self.panes) * PANE_MS

    def overlaps(self, *, from_ms: int, to_ms: int) -> bool:
        """Whether part of it lies in ``[from_ms, to_ms)``, Unix ms."""
        start_ms, end_ms = self.bounds
        return start_ms < to_ms and from_ms < end_ms

    def contains(self, other: Span) -> bool:
        """Whether all panes of the other are its own."""
        return self.first <= other.first and other.first + other.panes <= self.first + self.panes


def wider(pane: int) -> Iterator[Span]:
    """The windows of several panes that a pane may be in, by width.

    >>> list(wider(125))
    [Span(first=120, panes=6), Span(first=120, panes=60)]
    """
    for tier in TIERS[1:]:
        yield Span(pane // tier.panes * tier.panes, tier.panes)


class Edges(NamedTuple):
    """By tier, the first pane that is not too old for it, at one moment of one service."""

    firsts: tuple[int, ...]
    until_ms: int
    """They are the same until then."""

    def home(self, pane: int) -> Span | None:
        """The window that a pane belongs to; None when it is no longer kept.

        >>> edges = Edges((600, 360, 0), until_ms=10_000_000)
        >>> edges.home(601), edges.home(365), edges.home(119), edges.home(-1)
        (Span(first=601, panes=1), Span(first=360, panes=6), Span(first=60, panes=60), None)
        """
        for tier, first in zip(TIERS, self.firsts, strict=True):
            if pane >= first:
                return Span(pane // tier.panes * tier.panes, tier.panes)
        return None


def edges_at(service: str, now_ms: int) -> Edges:
    """Where the tiers of a service begin at ``now_ms``, Unix ms of its time in the log.

    An edge is a multiple of the width of the next tier, so that a window moves there whole. Services cross it at
    different moments within that width: merging a hundred of them at once would hold judgement up.
    """
    spread = zlib.crc32(service.encode())
    widths = [tier.panes for tier in TIERS[1:]] + [TIERS[-1].panes]
    firsts, left_ms = [], []
    for tier, width in zip(TIERS, widths, strict=True):
        width_ms = width * PANE_MS
        steps, past_ms = divmod(now_ms - tier.kept_ms - spread % width_ms, width_ms)
        firsts.append(steps * width)
        left_ms.append(width_ms - past_ms)
    return Edges(tuple(firsts), now_ms + min(left_ms))


def windows_max() -> int:
    """The most windows of one service, those of the future left out: events up to five minutes ahead are taken.

    >>> windows_max()
    694
    """
    found, after_ms = 0, 0
    for i, tier in enumerate(TIERS):
        # Until a whole window of the next tier is old enough, and while the service waits for its moment.
        width = TIERS[min(i + 1, len(TIERS) - 1)].panes
        found += (tier.kept_ms - after_ms) // (tier.panes * PANE_MS) + 2 * width // tier.panes
        after_ms = tier.kept_ms
    return found
