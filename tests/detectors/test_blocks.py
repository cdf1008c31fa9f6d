"""Blocks close by counts and time, and hold each request once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detectors.blocks import BLOCK_MS_MAX, BLOCK_REQUESTS_MIN, PARTS_MAX, Block, BlocksState, add
from detectors.state_codec import decode_state, encode_state
from detectors.summaries.rate import Rate
from detectors.summaries.summary import Summary
from schemas.event import OTHER, SEGMENTS_MAX
from schemas.report import SLICE_MS

Beat = dict[tuple[str, str], Summary]
beats = st.lists(
    st.dictionaries(
        st.tuples(st.sampled_from(["v1", "v2", "v3"]), st.sampled_from(["eu", "us", ""])),
        st.integers(0, 30).map(lambda n: Summary(Rate(n, n // 7))),
        max_size=6,
    ),
    max_size=30,
)


def run(sequence: list[Beat], state: BlocksState | None = None) -> tuple[BlocksState, list[Block]]:
    state = state or BlocksState()
    closed: list[Block] = []
    for i, beat in enumerate(sequence):
        state, blocks = add(state, beat, (i + 1) * SLICE_MS)
        closed += blocks
    return state, closed


@given(beats)
def test_every_request_is_in_exactly_one_block(sequence: list[Beat]) -> None:
    """What goes in comes out once, in a closed block or in the open one."""
    state, closed = run(sequence)
    arrived = sum(summary.requests.n for beat in sequence for summary in beat.values())
    left = sum(s.requests.n for block in closed for s in block.arms.values())
    assert left + sum(block.n for block in state.open.values()) == arrived


@given(beats)
def test_blocks_close_by_counts_only(sequence: list[Beat]) -> None:
    """The same counts with other outcomes give the same blocks: the rule never looks at errors."""
    spoiled = [{key: Summary(Rate(s.requests.n, s.requests.n)) for key, s in beat.items()} for beat in sequence]

    def shape(blocks: list[Block]) -> list[tuple[str, int, int, int]]:
        return [(b.segment, b.row, b.started_ms, b.ended_ms) for b in blocks]

    assert shape(run(sequence)[1]) == shape(run(spoiled)[1])


@given(beats, st.integers(0, 30))
def test_the_state_is_resumable_and_never_changed(sequence: list[Beat], cut: int) -> None:
    """Stopping anywhere, storing the state and going on gives the same blocks; add leaves its input alone."""
    state, first = run(sequence[:cut])
    stored = encode_state(state)
    restored = decode_state(stored, BlocksState)
    rest: list[Block] = []
    current = restored
    for i, beat in enumerate(sequence[cut:], start=min(cut, len(sequence))):
        current, blocks = add(current, beat, (i + 1) * SLICE_MS)
        rest += blocks
    assert encode_state(restored) == stored
    assert encode_state(first + rest) == encode_state(run(sequence)[1])


def test_a_block_closes_at_twenty_requests_of_all_versions_together() -> None:
    """19 requests leave it open, the 20th closes it, whoever answered."""
    state, closed = run([{("v1", "eu"): Summary(Rate(BLOCK_REQUESTS_MIN - 1, 0))}])
    assert closed == []
    _, closed = add(state, {("v2", "eu"): Summary(Rate(1, 1))}, 2 * SLICE_MS)
    assert [(b.started_ms, b.ended_ms, b.arms["v2"].requests) for b in closed] == [(0, 2 * SLICE_MS, Rate(1, 1))]


def test_a_slow_block_closes_after_a_minute() -> None:
    """A single request leaves its block at the first beat that ends a minute after the block's start.

    ::

        0        250                60,000
        |- beat -|- empty beats … -|- closes
    """
    state, closed = run([{("v2", "eu"): Summary(Rate(1, 0))}])
    state, closed = add(state, {}, BLOCK_MS_MAX - 1)
    assert closed == []
    state, closed = add(state, {}, BLOCK_MS_MAX)
    assert [sorted(block.arms) for block in closed] == [["v2"]]
    assert state.open == {}


def test_order_is_that_of_the_segments_names_and_rows_that_of_their_appearance() -> None:
    """Closed blocks are sorted by segment; rows are given in order of appearance and never move."""
    full = Summary(Rate(20, 0))
    state, _ = run([{("v1", "us"): full}])
    state, closed = add(state, {("v1", "us"): full, ("v1", "eu"): full}, 2 * SLICE_MS)
    assert [(b.segment, b.row) for b in closed] == [("eu", 2), ("us", 1)]
    assert (state.segments, state.rows) == (("us", "eu"), 3)


def test_segments_are_bounded() -> None:
    """What comes after SEGMENTS_MAX names is folded into one more segment."""
    beat = {("v1", f"s{i:03}"): Summary(Rate(20, 0)) for i in range(SEGMENTS_MAX + 10)}
    state, closed = run([beat])
    assert len(state.segments) == SEGMENTS_MAX + 1
    folded = [block for block in closed if block.segment == OTHER]
    assert [block.arms["v1"].requests.n for block in folded] == [200]


def test_a_quiet_segment_keeps_a_bounded_number_of_parts() -> None:
    """A minute of single requests is merged on the way, and closes as the same block."""
    state = BlocksState()
    for beat in range(1, 200):
        state, closed = add(state, {("v1", ""): Summary(Rate(0, 0))}, 250 * beat)
        assert not closed
        assert len(state.open[""].arms["v1"]) < PARTS_MAX
    _, closed = add(state, {("v1", ""): Summary(Rate(20, 3))}, 250 * 200)
    assert closed[0].arms["v1"].requests == Rate(20, 3)
