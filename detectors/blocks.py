"""Blocks: runs of beats of one segment, within which canary and baseline are compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from detectors.summaries.summary import Summary
from schemas.event import OTHER, SEGMENTS_MAX
from schemas.report import SLICE_MS

BLOCK_REQUESTS_MIN: Final = 20
"""A block of a Poisson mean of 20 requests keeps 95 % of the information, whatever the canary's share."""

BLOCK_MS_MAX: Final = 60_000
"""A block closes at the latest at the first beat that ends this long after its start."""


PARTS_MAX: Final = 16
"""Beats of one arm that wait unmerged in an open block."""


class OpenBlock(msgspec.Struct, frozen=True):
    """A block that still grows: since when, how many requests, and each version's summaries so far, unmerged."""

    started_ms: int
    n: int
    arms: dict[str, tuple[Summary, ...]]


class Block(msgspec.Struct, frozen=True):
    """A closed block.

    Parameters
    ----------
    segment : name of the segment.
    row : its row in every detector's state, >= 1; row 0 is the total over segments.
    started_ms, ended_ms : half-open stretch of log time, Unix ms.
    arms : version to its summary, versions in ascending order. A version that was silent is absent.
    """

    segment: str
    row: int
    started_ms: int
    ended_ms: int
    arms: dict[str, Summary]


class BlocksState(msgspec.Struct, frozen=True):
    """Open blocks by segment, the segments in the order in which they appeared (rows 1, 2, …), and the time.

    >>> BlocksState().rows
    1
    """

    open: dict[str, OpenBlock] = {}
    segments: tuple[str, ...] = ()
    ended_ms: int = 0
    """Latest end of a beat, Unix ms of log time."""

    @property
    def rows(self) -> int:
        """Number of rows of a detector that has seen every segment: the total, then one for each segment."""
        return 1 + len(self.segments)


def add(
    state: BlocksState, beat: Mapping[tuple[str, str], Summary], beat_end_ms: int
) -> tuple[BlocksState, list[Block]]:
    """Add one beat, and return the blocks that it closed.

    A block closes at the first beat boundary with BLOCK_REQUESTS_MIN requests of all versions together, or
    BLOCK_MS_MAX after its start. That is a rule on counts and on time, never on outcomes, so an e-process over the
    blocks stays one (Turner, Ly and Grünwald 2024, sec. 2). Empty beats matter: they let time close blocks.

    Parameters
    ----------
    state : is not changed.
    beat : (version, segment) to what was reported of it in this beat; only versions of the release.
    beat_end_ms : end of the beat, Unix ms of log time. Time does not go back: an earlier end counts as the latest.

    Returns
    -------
    The new state, and the closed blocks in ascending order of segment: at most one for each segment.

    >>> from detectors.summaries.rate import Rate
    >>> beat = {("v1", "eu"): Summary(Rate(15, 0)), ("v2", "eu"): Summary(Rate(5, 1))}
    >>> state, closed = add(BlocksState(), beat, 250)
    >>> [(b.segment, b.row, b.ended_ms, sorted(b.arms)) for b in closed], state.open
    ([('eu', 1, 250, ['v1', 'v2'])], {})
    """
    segments = list(state.segments)
    blocks = dict(state.open)
    beat_end_ms = max(beat_end_ms, state.ended_ms)
    for (version, named), summary in sorted(beat.items(), key=lambda item: item[0]):
        segment = _admitted(named, segments)
        block = blocks.get(segment) or OpenBlock(beat_end_ms - SLICE_MS, 0, {})
        arms = {**block.arms, version: with_part(block.arms.get(version, ()), summary)}
        blocks[segment] = OpenBlock(block.started_ms, block.n + summary.requests.n, arms)
    closed: list[Block] = []
    for segment in sorted(blocks):
        block = blocks[segment]
        if block.n >= BLOCK_REQUESTS_MIN or beat_end_ms - block.started_ms >= BLOCK_MS_MAX:
            closed.append(_closed(block, segment, segments.index(segment) + 1, beat_end_ms))
            del blocks[segment]
    return BlocksState(blocks, tuple(segments), beat_end_ms), closed


def due(state: BlocksState, now_ms: int) -> bool:
    """Whether time alone closes a block: what both arms have in it must not wait for a segment that is silent.

    >>> due(BlocksState({"eu": OpenBlock(0, 1, {})}), BLOCK_MS_MAX), due(BlocksState(), BLOCK_MS_MAX)
    (True, False)
    """
    return any(now_ms - block.started_ms >= BLOCK_MS_MAX for block in state.open.values())


def with_part(parts: tuple[Summary, ...], summary: Summary) -> tuple[Summary, ...]:
    """The parts and one more, merged when they have become PARTS_MAX.

    Merging each beat by itself is slow; never merging lets the state of a quiet segment grow for a minute.
    """
    joined = (*parts, summary)
    return joined if len(joined) < PARTS_MAX else (Summary.merge_all(joined),)


def _admitted(segment: str, segments: list[str]) -> str:
    if segment in segments:
        return segment
    if len(segments) >= SEGMENTS_MAX:
        segment = OTHER
    if segment not in segments:
        segments.append(segment)
    return segment


def _closed(block: OpenBlock, segment: str, row: int, ended_ms: int) -> Block:
    arms = {version: Summary.merge_all(block.arms[version]) for version in sorted(block.arms)}
    return Block(segment, row, block.started_ms, ended_ms, arms)
