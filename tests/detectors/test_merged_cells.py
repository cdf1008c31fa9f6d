"""Cells merged at once are those merged as summaries, to the last bit."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.summaries.counts import Counts
from detectors.summaries.measure import Measure
from detectors.summaries.merged_cells import merge_cells
from detectors.summaries.rate import Rate
from detectors.summaries.summary import Summary
from schemas.report import Cell

values = st.lists(st.floats(-1e6, 1e6), max_size=12)


@st.composite
def cells(draw: st.DrawFn) -> list[Cell]:
    """Cells of one arm in which metrics and labels may be missing."""
    found = []
    for _ in range(draw(st.integers(1, 6))):
        n = draw(st.integers(0, 50))
        metrics = draw(st.dictionaries(st.sampled_from(["latency_ms", "values.a", "values.b"]), values))
        counts = draw(st.dictionaries(st.sampled_from(["stop", "length", ""]), st.integers(1, 9), min_size=1))
        labels = {"finish_reason": Counts(counts)} if draw(st.booleans()) else {}
        summary = Summary(
            Rate(n, draw(st.integers(0, n))),
            {name: Measure.of(np.array(some)) for name, some in metrics.items() if some},
            labels,
        )
        found.append(summary.to_cell(service="chat", version="v1", segment="eu", pane=draw(st.integers(0, 9))))
    return found


@given(cells())
def test_it_is_the_merge_of_their_summaries(parts: list[Cell]) -> None:
    """Every number, every byte."""
    whole = Summary.merge_all([Summary.of_cell(part) for part in parts])
    expected = whole.to_cell(service="chat", version="v1", segment="eu", pane=7)
    found = merge_cells(parts, pane=7)
    assert msgspec.json.encode(found) == msgspec.json.encode(expected)


def test_what_is_no_summary_is_refused() -> None:
    """As a summary refuses it."""
    metrics = {"latency_ms": Measure.of(np.array([1.0, 2.0]))}
    good = Summary(Rate(2, 0), metrics).to_cell(service="chat", version="v1", segment="", pane=1)
    metric = good.metrics[0]
    for broken in (
        msgspec.structs.replace(good, errors=3),
        msgspec.structs.replace(good, metrics=[msgspec.structs.replace(metric, counts=b"\0" * 16)]),
        msgspec.structs.replace(good, metrics=[msgspec.structs.replace(metric, bins=b"\xff\xff\xff\x7f" * 2)]),
        msgspec.structs.replace(good, metrics=[msgspec.structs.replace(metric, counts=metric.counts[:8])]),
        msgspec.structs.replace(good, metrics=[msgspec.structs.replace(metric, n=-1)]),
    ):
        with pytest.raises(ValueError, match=r"found|every count"):
            merge_cells([broken, good], pane=1)
