"""UnitsSeen: a sample of the units that one beat saw, each with the version that answered it first."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np

from detectors.arrays import Hashes, Ints
from schemas.report import Cell, UnitSample
from schemas.unit_hash import UNITS_SAMPLED_MAX


class UnitsSeen(msgspec.Struct, frozen=True, eq=False):
    """Units by hash. The sample is coordinated: whoever samples, the same units have the smallest hashes.

    Parameters
    ----------
    hash : uint64 [m], strictly ascending.
    version, segment : [m] of the first request of each unit, as reported.
    epoch : [m] the routing epoch that its event named, -1 when it named none.
    bucket : [m] the splitter's bucket that its event named, -1 when it named none.

    Raises
    ------
    ValueError : when lengths differ or hashes do not ascend.

    >>> UnitsSeen.none().hash.size
    0
    """

    hash: Hashes
    version: tuple[str, ...]
    segment: tuple[str, ...]
    epoch: Ints
    bucket: Ints

    def __post_init__(self) -> None:
        if {len(self.version), len(self.segment), self.epoch.size, self.bucket.size} != {self.hash.size}:
            raise ValueError("UnitsSeen: every column has one entry for each unit")
        if bool((self.hash[1:] <= self.hash[:-1]).any()):
            raise ValueError("UnitsSeen: hashes must ascend")

    @classmethod
    def none(cls) -> UnitsSeen:
        """No unit seen."""
        nothing: Ints = np.zeros(0, dtype=np.int64)
        return cls(np.zeros(0, dtype=np.uint64), (), (), nothing, nothing)

    @classmethod
    def of_cells(cls, cells: Iterable[Cell]) -> UnitsSeen:
        """The units of the cells of one service in one beat: at most UNITS_SAMPLED_MAX, the smallest hashes.

        A unit that several source partitions saw counts once, in the cell that comes first.

        Raises
        ------
        ValueError : when the bytes of a sample break an invariant.
        """
        sampled = [(cell, cell.units.sample) for cell in cells if cell.units is not None and cell.units.sample]
        if not sampled:
            return cls.none()
        columns = [_columns(sample) for _, sample in sampled]
        hashes, epochs, buckets = (np.concatenate(column) for column in zip(*columns, strict=True))
        holders = np.repeat(np.arange(len(sampled)), [column[0].size for column in columns])
        found, first = np.unique(hashes, return_index=True)
        kept = first[:UNITS_SAMPLED_MAX]
        holding = [sampled[holder][0] for holder in holders[kept].tolist()]
        return cls(
            found[:UNITS_SAMPLED_MAX],
            tuple(cell.version for cell in holding),
            tuple(cell.segment for cell in holding),
            epochs[kept],
            buckets[kept],
        )


def _columns(sample: UnitSample) -> tuple[Hashes, Ints, Ints]:
    """Hashes, epochs and buckets of a sample."""
    if len(sample.hashes) % 8 or len(sample.buckets) not in (0, len(sample.hashes) // 2):
        raise ValueError(
            f"UnitSample: hashes are uint64 and buckets int32 of the same length, or none, found "
            f"{len(sample.hashes)} and {len(sample.buckets)} bytes"
        )
    if len(sample.epochs) not in (0, 8, len(sample.hashes)):
        raise ValueError(
            f"UnitSample: epochs are int64, none, one or one for each unit, found {len(sample.epochs)} bytes"
        )
    hashes = np.frombuffer(sample.hashes, dtype="<u8")
    if bool((hashes[1:] <= hashes[:-1]).any()):
        raise ValueError("UnitSample: hashes must ascend")
    unknown = np.full(hashes.size, -1, dtype=np.int64)
    epochs, buckets = np.frombuffer(sample.epochs, dtype="<i8"), np.frombuffer(sample.buckets, dtype="<i4")
    return (
        hashes,
        np.broadcast_to(epochs, hashes.shape) if epochs.size else unknown,
        buckets.astype(np.int64) if buckets.size else unknown,
    )
