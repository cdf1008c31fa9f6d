"""Columns of numbers become moments and histograms of the metrics of cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from detectors.arrays import Floats, Ints
from detectors.summaries.log_histogram import bin_of
from streams.ingest.columns import Columns
from streams.ingest.owners import Owner, ranks
from streams.ingest.runs import Runs, counted, distinct, runs_of
from streams.ingest.sums import MetricSums
from streams.ingest.unit_grouping import UnitEntries


@dataclass(frozen=True, slots=True)
class _Part:
    """Numbers in the order of their runs, each of which is one metric of one group.

    Parameters
    ----------
    owner, metric : of each run, the index of its owner and the code of its metric.
    event, value : of each place.
    """

    runs: Runs
    owner: Ints
    metric: Ints
    event: Ints
    value: Floats


@dataclass(frozen=True, slots=True)
class _Moments:
    """Of each run; ``offset`` is of each number, from the level of its run."""

    level: Floats
    offset: Floats
    mean: Floats
    m2: Floats
    low: Floats
    high: Floats

    @classmethod
    def of(cls, part: _Part) -> _Moments:
        runs, value = part.runs, part.value
        # Around the first value of each run: a large common level does not eat the digits of the spread.
        level = value[runs.starts]
        offset = value - runs.spread(level)
        shift = np.add.reduceat(offset, runs.starts) / runs.n
        centred = offset - runs.spread(shift)
        centred *= centred
        return cls(
            level=level,
            offset=offset,
            mean=level + shift,
            m2=np.add.reduceat(centred, runs.starts),
            low=np.minimum.reduceat(value, runs.starts),
            high=np.maximum.reduceat(value, runs.starts),
        )


def fold_numbers(
    columns: Columns, key: Ints, size: int, groups: Runs, owners: Sequence[Owner], units: UnitEntries | None
) -> None:
    """Add the numbers of a batch to the metrics of the cells.

    Parameters
    ----------
    key : of the group of each event, below ``size``.
    groups : the events by these keys.
    owners : of each group.
    """
    parts = list(_parts(columns, key, size, groups))
    if not parts:
        return
    moments = [_Moments.of(part) for part in parts]
    order, rank = _log_order(columns, parts, owners)
    targets = _merged(columns, parts, moments, owners, order)
    bins = _Bins(owners, parts, moments, targets, rank)
    bins.fold()
    if units is not None:
        for at, part in enumerate(parts):
            _fold_units(units, part, moments[at], targets[at], bins.kept(at))


def _parts(columns: Columns, key: Ints, size: int, groups: Runs) -> Iterator[_Part]:
    """What every event has needs no sorting of its own."""
    for metric, value in columns.dense:
        code = np.full(len(groups), metric)
        yield _Part(groups, np.arange(len(groups)), code, groups.order, value[groups.order])
    if columns.value.size:
        metrics = len(columns.metric_names)
        runs = runs_of(key[columns.metric_event] * np.int64(metrics) + columns.metric, size * metrics)
        key_of, metric_of = np.divmod(runs.keys, metrics)
        owner = np.searchsorted(groups.keys, key_of)
        yield _Part(runs, owner, metric_of, columns.metric_event[runs.order], columns.value[runs.order])


def _log_order(columns: Columns, parts: Sequence[_Part], owners: Sequence[Owner]) -> tuple[list[int], Ints]:
    """All runs in the order in which their names are admitted, and the rank of the name of each."""
    feedback = np.array([owner.feedback for owner in owners], dtype=np.int64)
    code = np.concatenate([2 * part.metric + feedback[part.owner] for part in parts])
    rank = ranks(code, [name for pair in columns.metric_names for name in pair])
    first = np.concatenate([part.event[part.runs.starts] for part in parts])
    return np.lexsort((rank, first)).tolist(), rank


def _merged(
    columns: Columns, parts: Sequence[_Part], moments: Sequence[_Moments], owners: Sequence[Owner], order: list[int]
) -> list[list[MetricSums]]:
    """Merge the moments of each run; returns the sums that took them, by part."""
    rows = [
        row
        for part, found in zip(parts, moments, strict=True)
        for row in zip(
            part.owner.tolist(),
            part.metric.tolist(),
            part.runs.n.tolist(),
            found.mean.tolist(),
            found.m2.tolist(),
            found.low.tolist(),
            found.high.tolist(),
            strict=True,
        )
    ]
    targets: dict[int, MetricSums] = {}
    for at in order:
        owner_of, metric, n, mean, m2, low, high = rows[at]
        owner = owners[owner_of]
        target = owner.sums.metric_of(owner.cell, columns.metric_names[metric][owner.feedback], n)
        target.merge(n, mean, m2, low, high)
        targets[at] = target
    pending = iter(range(len(rows)))
    return [[targets[next(pending)] for _ in range(len(part.runs))] for part in parts]


class _Bins:
    """Counts of a batch by bin."""

    def __init__(
        self,
        owners: Sequence[Owner],
        parts: Sequence[_Part],
        moments: Sequence[_Moments],
        targets: Sequence[Sequence[MetricSums]],
        rank: Ints,
    ) -> None:
        self._owners = owners
        self._parts = parts
        self._targets = targets
        self._rank = rank
        self._index = [bin_of(part.value) for part in parts]
        ends = [bin_of(np.array([found.low.min(), found.high.max()])).tolist() for found in moments]
        self._lowest = [low for low, _ in ends]
        self._span = [high - low + 1 for low, high in ends]
        self._scarce: frozenset[int] = frozenset()

    def fold(self) -> None:
        """Add them to the slices."""
        found = [counted(self._key(at), len(part.runs) * self._span[at]) for at, part in enumerate(self._parts)]
        entries = sum(keys.size for keys, _ in found)
        slices = {owner.stretch: owner.sums for owner in self._owners}
        self._scarce = frozenset(at for at, sums in slices.items() if not sums.bins.has_room(entries))
        for at, (keys, counts) in enumerate(found):
            run, above = np.divmod(keys, self._span[at])
            stretch = self._stretch(at)[run]
            target = self._target(at)[run]
            for number in slices.keys() - self._scarce:
                mine = slice(None) if len(slices) == 1 else stretch == number
                slices[number].bins.add(target[mine], above[mine] + self._lowest[at], counts[mine])
        if self._scarce:
            self._fold_scarce()

    def _fold_scarce(self) -> None:
        """The same in the order of the log, for slices that run out of bins."""
        rows: list[tuple[int, int, int, int, int, int]] = []
        ranks_before = 0
        for at, part in enumerate(self._parts):
            found = distinct(self._key(at), len(part.runs) * self._span[at])
            run, above = np.divmod(found.keys, self._span[at])
            rank = self._rank[ranks_before:][run]
            first, counts = part.event[found.first], np.bincount(found.inverse)
            columns = (first, rank, np.full(run.size, at), run, above + self._lowest[at], counts)
            rows += zip(*(column.tolist() for column in columns), strict=True)
            ranks_before += len(part.runs)
        for _, _, at, place, index, count in sorted(rows):
            owner = self._owners[int(self._parts[at].owner[place])]
            if owner.stretch in self._scarce:
                owner.sums.add_scarce_bin(owner.cell, self._targets[at][place], index, count)

    def kept(self, at: int) -> Ints:
        """The bin that counts each number of a part."""
        index = self._index[at].astype(np.int64)
        if not self._scarce:
            return index
        part = self._parts[at]
        found = distinct(self._key(at), len(part.runs) * self._span[at])
        run_of, above = np.divmod(found.keys, self._span[at])
        kept = above + self._lowest[at]
        for place, run in enumerate(run_of.tolist()):
            owner = self._owners[int(part.owner[run])]
            if owner.stretch in self._scarce:
                kept[place] = owner.sums.bins.kept(self._targets[at][run].at, int(kept[place]))
        of_value: Ints = kept[found.inverse]
        return of_value

    def _key(self, at: int) -> Ints:
        runs = self._parts[at].runs
        key: Ints = runs.spread(np.arange(len(runs)) * self._span[at] - self._lowest[at])
        key += self._index[at]
        return key

    def _stretch(self, at: int) -> Ints:
        stretches: Ints = np.array([owner.stretch for owner in self._owners], dtype=np.int64)[self._parts[at].owner]
        return stretches

    def _target(self, at: int) -> Ints:
        return np.array([target.at for target in self._targets[at]], dtype=np.int64)


def _fold_units(units: UnitEntries, part: _Part, moments: _Moments, targets: Sequence[MetricSums], kept: Ints) -> None:
    run = part.runs.spread(np.arange(len(part.runs)))
    theirs = units.moments(part.event, run, moments.offset, moments.level)
    for target, found in zip(targets, theirs, strict=True):
        target.units = target.units.merge(found)
    number = np.array([target.at for target in targets], dtype=np.int64)[run]
    units.count(part.event, number, kept)
    units.add_values(part.event, number, part.value)
