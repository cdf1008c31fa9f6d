"""Records become columns: each record by the fastest decoder that takes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from detectors.arrays import Ints
from schemas.event import RECORD_BYTES_MAX
from schemas.packed import is_pack
from streams.ingest.columns import Columns
from streams.ingest.dead_letters import Refused
from streams.ingest.general import ColumnBuilder
from streams.ingest.joined import join
from streams.ingest.learned import Names, Schema
from streams.ingest.packed import pack_columns
from streams.ingest.records import Records

_RARE: Final = 2_000
"""A name that fewer than one record in so many of a batch holds is not worth a place in the schema."""

_REST: Final = 64
"""Batches to leave to the general decoder when the learned one took less than half of one."""


Decoded = tuple[Columns, list[Refused]]
"""Columns of the good records, and the refused ones by ascending row."""


class RecordDecoder:
    """Turns records into columns and sets the bad ones aside. Learns the names that the traffic repeats."""

    def __init__(self) -> None:
        self._judge = ColumnBuilder()
        self._schema: Schema | None = None
        self._rest = 0

    def build(self, records: Records) -> Decoded:
        """Decode, check and split into columns.

        Returns
        -------
        The columns of the good records, and the refused ones by ascending row.
        """
        raw = records.raw
        if not (raw and is_pack(raw[0] or b"")):
            return self._json(records)
        # Among JSON a pack costs an exception of its decoder, which is dear where there are many.
        packs = [row for row, one in enumerate(raw) if is_pack(one or b"")]
        if len(packs) == len(raw):
            return pack_columns(records)
        others = np.setdiff1d(np.arange(len(raw)), packs)
        return _joined([_part(pack_columns, records, np.array(packs)), _part(self._json, records, others)])

    def _json(self, records: Records) -> Decoded:
        """Decode records of which most are JSON."""
        self._rest = max(0, self._rest - 1)
        schema = None if self._rest else self._schema
        fitting: list[Decoded] = []
        odd = list(range(len(records)))
        if schema is not None:
            columns, odd = schema.columns(_within_size(records.raw), records.log_ms)
            fitting.append((columns, []))
            if not odd:
                return columns, []
        packs = {row for row in odd if is_pack(records.raw[row] or b"")}
        others = np.array(sorted(set(odd) - packs), dtype=np.int64)
        judged = _part(self._judge.build, records, others)
        many = 2 * others.size > len(records)
        learned = self._learn(judged[0], least=1 + len(records) // _RARE, many=many)
        if schema is not None and many and not learned:
            self._rest = _REST
        if packs:
            fitting.append(_part(pack_columns, records, np.array(sorted(packs), dtype=np.int64)))
        return _joined([*fitting, judged])

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


def _part(build: Callable[[Records], Decoded], records: Records, rows: Ints) -> Decoded:
    """Decode some of the records, by their rows."""
    columns, refused = build(records.part(rows))
    return replace(columns, row=rows[columns.row]), [replace(one, row=int(rows[one.row])) for one in refused]


def _joined(parts: Sequence[Decoded]) -> Decoded:
    refused = sorted((one for _, some in parts for one in some), key=lambda one: one.row)
    return join([columns for columns, _ in parts]), refused


def _within_size(raw: Sequence[bytes | None]) -> Sequence[bytes | None]:
    """The records, with None for those that are too large to be looked at."""
    if max(map(len, filter(None, raw)), default=0) <= RECORD_BYTES_MAX:
        return raw
    return [None if one is None or len(one) > RECORD_BYTES_MAX else one for one in raw]
