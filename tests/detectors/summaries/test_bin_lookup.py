"""The table of bins answers as the logarithm that it stands for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.summaries.bin_lookup import BinLookup
from detectors.summaries.log_histogram import BIN_MAX, _bin_of_positive, _lookup, bin_of, upper_edge


@given(st.lists(st.floats(0, 1.7e308, exclude_min=True), min_size=1, max_size=50))
def test_any_positive_number_has_the_bin_of_the_rule(values: list[float]) -> None:
    """From subnormal to huge."""
    assert bin_of(np.array(values)).tolist() == _bin_of_positive(np.array(values)).tolist()


def test_around_every_edge_the_bin_is_the_one_of_the_rule() -> None:
    """For each edge and each of the floats nearest to where the rule changes its answer."""
    edges = np.array([upper_edge(index) for index in range(1, BIN_MAX + 1)])
    changes = _lookup._edges[np.isfinite(_lookup._edges)]
    assert changes.size == BIN_MAX
    for centre in (edges, edges * (1 + 2e-11), changes):
        for step in range(-40, 41):
            near = (centre.view(np.int64) + step).view(np.float64)
            np.testing.assert_array_equal(bin_of(near), _bin_of_positive(near))
    np.testing.assert_array_equal(_bin_of_positive(np.nextafter(changes, np.inf)) - _bin_of_positive(changes), 1)


def test_what_the_table_has_not_is_left_to_the_rule() -> None:
    """A negative number, or one that is none, among others."""
    for odd in (-1.0, -0.0, np.nan, np.inf, -np.inf):
        assert _lookup(np.array([1.0, odd])) is None
    for shape in ((0,), (2, 3)):
        found = _lookup(np.full(shape, 7.0))
        assert found is not None
        assert found.shape == shape


def test_edges_may_lie_at_powers_of_two() -> None:
    """An edge at the first or the last number of a cell of the table is where the rule has it."""
    lookup = BinLookup(lambda values: np.ceil(np.log2(values)).astype(np.int32), lowest=2.0**-4, highest=2.0**4)
    values = np.array([2.0**power * (1 + step * 2.0**-52) for power in range(-3, 4) for step in (-1, 0, 1)])
    found = lookup(values)
    assert found is not None
    assert found.tolist() == np.ceil(np.log2(values)).astype(np.int32).tolist()


def test_numbers_that_are_not_side_by_side_have_their_bins() -> None:
    """A column of a table, and a reversed one."""
    values = np.arange(1.0, 13.0).reshape(4, 3)
    for one in (values[:, 1], values[::-1, 2], values.T):
        assert bin_of(one).tolist() == _bin_of_positive(one).tolist()
    with pytest.raises(ValueError, match="finite"):
        bin_of(np.array(np.nan))
