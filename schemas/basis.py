"""The basis of a joint gate, on the compacted topic ``canary.bases``: how ingest turns metrics into a vector."""

from __future__ import annotations

from math import isfinite
from typing import Literal

import msgspec

from schemas.decoding import decoded

METRICS_MIN, METRICS_MAX = 2, 6
"""Metrics that a joint gate looks at together. Six have 15 products of pairs: 231 co-moments in each cell."""


class Coordinate(msgspec.Struct, frozen=True):
    """One metric on its natural scale, standardised by the baseline: u = (scale(x) - mean) / sd, clipped.

    Parameters
    ----------
    metric : its name in cells: ``latency_ms``, ``values.tokens_out``.
    scale : the values themselves, their logarithm, or that of one plus the value.
    mean, sd : of the baseline's values on that scale; sd > 0.

    Raises
    ------
    ValueError : when a number is outside its domain.
    """

    metric: str
    scale: Literal["raw", "log1p", "log"]
    mean: float
    sd: float

    def __post_init__(self) -> None:
        if not (isfinite(self.mean) and isfinite(self.sd) and self.sd > 0):
            raise ValueError(f"Coordinate: mean finite and sd > 0, found {self.mean} and {self.sd} of {self.metric}")


class Basis(msgspec.Struct, frozen=True, tag="basis", tag_field="type"):
    """What the worker has learned of a release's baseline, for ingest. The newest number of a service is in force.

    Parameters
    ----------
    number : Unix ms of log time, end of the beat at which it was learned; every cell names the one it was counted in.
    coordinates : one for each metric of the gate, in the plan's order; products of pairs follow from them.

    Raises
    ------
    ValueError : when there are too few or too many coordinates.

    >>> pair = (Coordinate("latency_ms", "log", 5.2, 0.5), Coordinate("values.confidence", "raw", 0.8, 0.1))
    >>> basis = Basis("chat", "chat-1", 1_700_000_000_250, pair)
    >>> decode_basis(encode_basis(basis)) == basis
    True
    """

    service: str
    release_id: str
    number: int
    coordinates: tuple[Coordinate, ...]

    def __post_init__(self) -> None:
        if not METRICS_MIN <= len(self.coordinates) <= METRICS_MAX:
            found = len(self.coordinates)
            raise ValueError(f"Basis: coordinates must be {METRICS_MIN} to {METRICS_MAX}, found {found}")


encode_basis = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Basis)


def decode_basis(raw: bytes) -> Basis:
    """Decode a record of ``canary.bases``; raises :class:`msgspec.DecodeError`."""
    return decoded(_decoder.decode, raw)
