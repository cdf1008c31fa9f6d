"""Records become columns: each record by the fastest decoder that takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from schemas.event import RECORD_BYTES_MAX
from streams.ingest.columns import ColumnBuilder, Columns
from streams.ingest.dead_letters import Refused
from streams.ingest.joined import join
from streams.ingest.learned import Names, Schema
from streams.ingest.records import Records

_RARE: Final = 2_000
"""A name that fewer than one record in so many of a batch holds is not worth a place in the schema."""

_REST: Final = 64
"""Batches to leave to the general decoder when the learned one took less than half of one."""


class RecordDecoder:
    """Turns records into columns and sets the bad ones aside. Learns the names that the traffic repeats."""

    def __init__(self) -> None:
        self._judge = ColumnBuilder()
        self._schema: Schema | None = None
        self._rest = 0

    def build(self, records: Records) -> tuple[Columns, list[Refused]]:
        """Decode, check and split into columns.

        Returns
        -------
        The columns of the good records, and the refused ones by ascending row.
        """
        self._rest = max(0, self._rest - 1)
        if self._schema is None or self._rest:
            columns, refused = self._judge.build(records)
            self._learn(columns, least=1 + len(records) // _RARE, many=True)
            return columns, refused
        columns, odd = self._schema.columns(_within_size(records.raw), records.log_ms)
        if not odd:
            return columns, []
        rows = np.array(sorted(odd), dtype=np.int64)
        others, refused = self._judge.build(records.part(rows))
        others = replace(others, row=rows[others.row])
        many = 2 * len(odd) > len(records)
        if not self._learn(others, least=1 + len(records) // _RARE, many=many) and many:
            self._rest = _REST
        return join([columns, others]), [replace(one, row=int(rows[one.row])) for one in refused]

    def _learn(self, columns: Columns, *, least: int, many: bool) -> bool:
        """Add names to the schema; when there are too many, and ``many`` records hold new ones, begin with those."""
        new = Names.of(columns, least=least)
        known = Names() if self._schema is None else self._schema.names
        names = known | new
        if many and not names.fit():
            names = new
        if names == known or not names.fit():
            return False
        self._schema = Schema(names)
        return True


def _within_size(raw: Sequence[bytes | None]) -> Sequence[bytes | None]:
    """The records, with None for those that are too large to be looked at."""
    if max(map(len, filter(None, raw)), default=0) <= RECORD_BYTES_MAX:
        return raw
    return [None if one is None or len(one) > RECORD_BYTES_MAX else one for one in raw]
