"""What the tables of healthy releases and of bars are made of."""

from __future__ import annotations

import numpy as np
import pytest

from bench.bars import BARS, NEVER, SHOWN, at_margin_p99, errors, first_hits, found, in_segments, share, tail
from bench.bars_table import bars_table
from bench.healthy_table import healthy_table, interval


def test_hits_are_first_ones() -> None:
    """The block at which evidence first reaches 1 / alpha counts, also when it falls again; never is told apart."""
    below, above = SHOWN - 0.1, SHOWN + 0.1
    says = iter(np.array([[below, above, below], [above, below, below], [below, above, below]]))
    hits = first_hits(says, 3)
    assert hits.tolist() == [2, 1, NEVER]
    assert share(hits) == {"share": pytest.approx(2 / 3)}
    assert found(hits, 5)["median"] == 10.0 and found(hits, 5)["missed"] == pytest.approx(1 / 3)


def test_larger_harm_is_found_sooner() -> None:
    """Few releases of some lines: harm in the total before harm in one segment, a heavier tail before a lighter."""
    assert errors(0.1, (95, 5), 40)["median"] < errors(0.05, (95, 5), 40)["median"]
    assert in_segments(10, 0.05, (19, 1), False, 6)["median"] < in_segments(1, 0.2, (19, 1), False, 6)["median"] * 3
    assert tail(2.0, 20)["median"] < tail(1.2, 20)["median"]
    assert at_margin_p99((50, 50), 60)["share"] < 0.2


def test_the_interval_is_wilsons() -> None:
    """Published values for 81 of 263 and 0 of 20: Newcombe (1998), Statistics in Medicine 17, method 3."""
    assert list(interval(81, 263)) == pytest.approx([0.2553, 0.3662], abs=1e-4)
    assert list(interval(0, 20)) == pytest.approx([0.0, 0.1611], abs=1e-4)


def test_tables_have_a_line_for_each_case_and_bar() -> None:
    """Every result is shown; a share has no median, and what was often missed has no 90th percentile."""
    assert len({name for name, _, _, _ in BARS}) == len(BARS)
    rows = [
        {"name": "a", "unit": "requests", "limit": 10, "median": 9.0, "p90": 1e9, "missed": 0.2},
        {"name": "b", "unit": "pass", "limit": 0.05, "share": 0.031},
    ]
    table = bars_table({"releases": 10, "bars": rows})
    assert "| a | requests | 10 | 9 |  |  |" in table and "| b | pass | 5.0 % |  |  | 3.1 % |" in table
    counts = {"releases": 2000, "promoted": 1990, "rolled_back": 10, "core_s": 60.0}
    said = healthy_table({"alpha": 0.05, "cases": {"healthy/ramp": counts}})
    assert "| healthy | ramp | 2,000 | 0.50 % (0.27 to 0.92) | 6.0 % | 1,990 | 0 | 0 |" in said
