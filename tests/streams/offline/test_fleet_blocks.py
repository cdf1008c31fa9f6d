"""What opens, fills and closes the blocks of many releases."""

from __future__ import annotations

import numpy as np

from detectors.arrays import Floats
from detectors.blocks import BLOCK_MS_MAX
from streams.offline.arrivals import STEP_MS
from streams.offline.fleet_blocks import Blocks
from streams.offline.fleet_columns import Columns, N

RATED_AT_S, ANSWERED_AT_S = 3, 40


def test_feedback_alone_opens_a_block_and_does_not_fill_it() -> None:
    """Thirty ratings in second 3 and a request in second 40: the block is over a minute after the ratings."""
    columns = Columns({}, feedback={"feedback.rating": 4.0})
    blocks = Blocks(1, ["eu"], columns, baseline_first=True)
    rated, answered = np.zeros((2, 1, 1, 2, columns.width))
    rated[..., 0, columns.first_feedback] = 30.0
    answered[..., 0, N] = 1.0
    heard: dict[int, Floats] = {RATED_AT_S: rated, ANSWERED_AT_S: answered}
    closed = {at: blocks.add(at, heard.get(at, np.zeros_like(rated))) for at in range(2 * BLOCK_MS_MAX // STEP_MS)}
    over_s = RATED_AT_S + BLOCK_MS_MAX // STEP_MS - 1
    assert [at for at, found in closed.items() if found] == [over_s]
    assert closed[over_s][0].sums[0, 0, [N, columns.first_feedback]].tolist() == [1.0, 30.0]
