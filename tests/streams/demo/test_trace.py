from __future__ import annotations

import numpy as np
import pytest

from streams.demo.trace import TRACES, read_trace


@pytest.mark.parametrize(
    ("name", "requests", "length_s"), [("conv", 19_366, 3501.721937), ("code", 8_819, 3435.948056)]
)
def test_the_trace_is_read_as_it_was_recorded(name: str, requests: int, length_s: float) -> None:
    """No arrival is lost, moved or out of order; every answer has its length."""
    trace = read_trace(name)
    assert len(trace.arrivals_s) == len(trace.tokens) == requests
    assert trace.arrivals_s[0] == 0
    assert trace.length_s == pytest.approx(length_s, abs=1e-6)
    assert np.all(np.diff(trace.arrivals_s) >= 0)
    assert trace.tokens.min() > 0


def test_the_licence_travels_with_the_data() -> None:
    """Whoever has the trace has its licence and citation beside it."""
    text = (TRACES / "README.md").read_text(encoding="utf-8")
    assert "CC-BY-4.0" in text
    assert "ISCA 2024" in text
