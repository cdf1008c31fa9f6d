"""Cells merged without making summaries of them: what a worker does most."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from detectors.summaries.log_histogram import BIN_MAX
from detectors.summaries.summary import Summary
from schemas.report import Cell, LabelCell, MetricCell


def merge_cells(cells: Sequence[Cell], *, pane: int) -> Cell:
    """One cell of the events of all.

    The same to the last bit as :meth:`Summary.merge_all` of them, in a quarter of its time: a part costs no numpy call.

    Parameters
    ----------
    cells : at least one, of one service, version and segment.
    pane : the merged one's.

    Raises
    ------
    ValueError : when a cell breaks an invariant of a summary.

    >>> one = Cell("chat", "v1", "eu", 7, n=10, errors=1, labels=[LabelCell("finish_reason", {"stop": 10})])
    >>> both = merge_cells([one, one], pane=6)
    >>> both.n, both.errors, both.labels, both.pane
    (20, 2, [LabelCell(name='finish_reason', counts={'stop': 20})], 6)
    """
    first = cells[0]
    if len(cells) == 1:
        return first if first.pane == pane else msgspec.structs.replace(first, pane=pane)
    if any(cell.units is not None or cell.scatter is not None for cell in cells):
        whole = Summary.merge_all([Summary.of_cell(cell) for cell in cells])
        return whole.to_cell(service=first.service, version=first.version, segment=first.segment, pane=pane)
    metrics: dict[str, list[MetricCell]] = {}
    labels: dict[str, dict[str, int]] = {}
    n = errors = 0
    for cell in cells:
        if not 0 <= cell.errors <= cell.n:
            raise ValueError(f"a cell has 0 <= errors <= n, found {cell.errors} of {cell.n}")
        n += cell.n
        errors += cell.errors
        for metric in cell.metrics:
            if metric.n:
                metrics.setdefault(metric.name, []).append(metric)
        for label in cell.labels:
            _count(label.counts, labels.setdefault(label.name, {}))
    return Cell(
        first.service,
        first.version,
        first.segment,
        pane,
        n=n,
        errors=errors,
        metrics=[_metric(name, metrics[name]) for name in sorted(metrics)],
        labels=[LabelCell(name, dict(sorted(labels[name].items()))) for name in sorted(labels) if labels[name]],
    )


def _count(counts: dict[str, int], into: dict[str, int]) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"every count is >= 1, found {count} for {name!r}")
        into[name] = into.get(name, 0) + count


def _metric(name: str, parts: list[MetricCell]) -> MetricCell:
    n, mean, m2 = 0, 0.0, 0.0
    for part in parts:
        if part.n < 1 or len(part.counts) != 2 * len(part.bins):
            raise ValueError(f"{name}: values and bins with a count each, found {part.n} and {len(part.bins)} bytes")
        # The formula of Moments.merge.
        of, total = part.n, n + part.n
        difference = part.mean - mean
        if n:
            m2 += max(part.m2, 0.0)
            m2 += difference * difference * (n * (of / total))
            mean += difference * (of / total)
        else:
            mean, m2 = part.mean, max(part.m2, 0.0)
        n = total
    bins, counts = _histogram(name, parts)
    return MetricCell(
        name,
        n=n,
        mean=mean,
        m2=m2,
        low=min(part.low for part in parts),
        high=max(part.high for part in parts),
        bins=bins,
        counts=counts,
    )


def _histogram(name: str, parts: list[MetricCell]) -> tuple[bytes, bytes]:
    bins = np.frombuffer(b"".join([part.bins for part in parts]), dtype="<i4")
    counts = np.frombuffer(b"".join([part.counts for part in parts]), dtype="<i8")
    if not bins.size:
        return b"", b""
    lowest, highest = int(bins.min()), int(bins.max())
    if lowest < -BIN_MAX or highest > BIN_MAX or int(counts.min()) < 1:
        raise ValueError(f"{name}: bins within ±{BIN_MAX} and every count >= 1")
    dense = np.bincount(bins - lowest, counts)
    positions = np.flatnonzero(dense)
    return (positions + lowest).astype("<i4").tobytes(), dense[positions].astype("<i8").tobytes()
