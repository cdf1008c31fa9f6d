"""Packed records count as the same events in JSON do, and a malformed one is refused whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import serinus
from schemas.event import TS_AHEAD_MAX_MS, TS_BEHIND_MAX_MS
from schemas.packed import PACK_BYTES_MAX, PACK_EVENTS_MAX, PACK_MAGIC, PACK_NAMES_MAX, PACK_PREFIX
from schemas.report import PANE_MS, SLICE_MS
from schemas.unit_hash import unit_digests
from serinus.event import Emitted, EventEncoder
from serinus.packer import Packer
from streams.ingest.aggregate import Aggregator
from streams.ingest.dead_letters import REASONS
from streams.ingest.decoder import RecordDecoder
from streams.ingest.pack_entries import Entries
from streams.ingest.pack_units import digests_of_hex
from streams.ingest.records import Records
from tests.streams.ingest.direct_fold import exact_part
from tests.streams.ingest.samples import BASE_MS
from tests.unpacked import unpacked

TESTDATA = Path(serinus.__file__).parent.parent / "testdata"
name = st.sampled_from(["a", "b", "c", "d", "é", "x" * 256])
number = st.floats(-1e100, 1e100) | st.integers(-(10**6), 10**6) | st.sampled_from([0.0, -0.0, 0.5, 1e-300])
emitted = st.builds(
    Emitted,
    name,
    st.integers(BASE_MS - 300, BASE_MS + 300) | st.integers(BASE_MS - 80_000_000, BASE_MS + 200_000),
    st.sampled_from(["request", "request", "feedback"]),
    st.booleans(),
    st.none() | st.floats(0, 1e9) | st.integers(0, 4_000),
    st.none() | st.dictionaries(name, number, max_size=3),
    st.none() | st.dictionaries(name, name | st.just(""), max_size=3),
    st.just("") | name,
    st.none() | st.text(max_size=3),
    st.none() | st.integers(0, 2**62 - 1),
    st.none() | st.integers(0, 999_999),
)
SERVICES = ("chat", "code")


def packed(events: list[Emitted], service: str = "chat") -> bytes:
    return Packer(service, EventEncoder(service).hash_unit).pack(events)


def as_json(events: list[Emitted], service: str = "chat") -> list[bytes]:
    encoder = EventEncoder(service)
    return [encoder.encode(one)[1] for one in events]


def counted(raws: Sequence[bytes | None], *, log_ms: int = BASE_MS) -> tuple[Any, list[tuple[str, str]]]:
    """The cells of records that all lie in one slice, and what was refused."""
    aggregator = Aggregator("t")
    _, refused = aggregator.add(Records.of(raws, [log_ms] * len(raws)))
    reports = [report for reports in aggregator.flush() for report in reports]
    cells = [(exact_part(one)[1][1], exact_part(one)[2]) for one in reports]
    return cells, [(one.reason, one.path) for one in refused]


@given(
    st.lists(st.tuples(st.sampled_from(SERVICES), st.lists(emitted, min_size=1, max_size=20)), min_size=1, max_size=5)
)
@settings(max_examples=200, deadline=None)
def test_packed_events_count_as_in_json(parts: list[tuple[str, list[Emitted]]]) -> None:
    """The same events in JSON, packed, and some of both give the same cells to the unit, and the same bins."""
    in_json = [as_json(events, service) for service, events in parts]
    in_packs = [packed(events, service) for service, events in parts]
    flat = [one for some in in_json for one in some]
    mixed = [one for at, some in enumerate(in_json) for one in (some if at % 2 else [in_packs[at]])]
    expected = counted(flat)
    assert expected[1] == []
    assert counted(in_packs) == expected
    assert counted(mixed) == expected
    assert counted([msgspec.json.encode(one) for raw in in_packs for one in unpacked(raw)]) == expected


@given(
    st.lists(st.lists(emitted, min_size=1, max_size=8), min_size=1, max_size=8), st.lists(st.integers(0, 7), max_size=3)
)
@settings(max_examples=50, deadline=None)
def test_batches_of_packs_change_nothing(parts: list[list[Emitted]], cuts: list[int]) -> None:
    """Any split of a log of packs into batches gives the same report."""
    raws = [packed(events) for events in parts]
    aggregator = Aggregator("t")
    edges = sorted({0, len(raws), *(min(cut, len(raws)) for cut in cuts)})
    for start, end in pairwise(edges):
        aggregator.add(Records.of(raws[start:end], [BASE_MS] * (end - start), first_offset=start))
    ((report,),) = aggregator.flush()
    whole = Aggregator("t")
    whole.add(Records.of(raws, [BASE_MS] * len(raws)))
    ((expected,),) = whole.flush()
    assert exact_part(report) == exact_part(expected)
    assert report.slice_no == BASE_MS // SLICE_MS


GOOD: dict[str, Any] = {
    "service": "chat",
    "n": 3,
    "base_ms": BASE_MS,
    "ts": bytes([0, 7, 99]),
    "versions": ["v1", "v2"],
    "version": bytes([0, 1, 0]),
    "segments": ["eu", ""],
    "segment": bytes([1, 0, 0]),
    "flags": bytes([0, 1, 2]),
    "latency_ms": [np.array([1.5, 2.5], "<f4").tobytes(), np.array([0, 2], "<u2").tobytes()],
    "values": {"tokens": [np.array([1.0, 2.0, 0.1], "<f8").tobytes()]},
    "labels": {"finish": [["stop", ""], bytes([0, 1, 0])]},
    "unit": [bytes(range(16)), np.array([1, 2], "<u2").tobytes()],
    "epoch": [bytes([3]), np.array([2], "<u2").tobytes()],
    "bucket": [np.array([999_999] * 3, "<u4").tobytes()],
    "of a newer producer": {"x": 1},
}


def record(**changes: Any) -> bytes:
    return PACK_PREFIX + msgspec.msgpack.encode(GOOD | changes)


def without(key: str) -> bytes:
    return PACK_PREFIX + msgspec.msgpack.encode({name: value for name, value in GOOD.items() if name != key})


def floats(*numbers: float) -> list[bytes]:
    return [np.array(numbers, "<f8").tobytes()]


PLAIN = Emitted("v1", BASE_MS, "request", False, None, None, None, "", None, None, None)
SHAPE, LIMIT, RANGE = "malformed pack", "pack beyond its limits", "number out of range"
TOO_LONG = "name longer than 256 characters"
BAD: list[tuple[bytes, str, str]] = [
    (PACK_MAGIC, "unknown pack version", "$"),
    (PACK_MAGIC + b"\x02" + record()[4:], "unknown pack version", "$"),
    (PACK_PREFIX, SHAPE, "$"),
    (PACK_PREFIX + b"\xc1", SHAPE, "$"),
    (record()[:-1], SHAPE, "$"),
    (record() + b"\x00", SHAPE, "$"),
    (PACK_PREFIX + b"\x90", SHAPE, "$"),
    (without("service"), SHAPE, "$"),
    (without("ts"), SHAPE, "$"),
    (record(service=7), SHAPE, "$.service"),
    (record(ts="text"), SHAPE, "$.ts"),
    (record(values={"tokens": bytes(24)}), SHAPE, "$.values[...]"),
    (record(n=0), LIMIT, "$.n"),
    (record(n=-3), LIMIT, "$.n"),
    (record(n=PACK_EVENTS_MAX + 1), LIMIT, "$.n"),
    (record(n=2), SHAPE, "$.ts"),
    (record(n=4), SHAPE, "$.ts"),
    (record(ts=b""), SHAPE, "$.ts"),
    (record(ts=bytes(24)), SHAPE, "$.ts"),
    (record(version=bytes(2)), SHAPE, "$.version"),
    (record(version=bytes([0, 2, 0])), SHAPE, "$.version"),
    (record(versions=["v1"]), SHAPE, "$.version"),
    (record(versions=[]), LIMIT, "$.versions"),
    (record(segment=bytes([0, 0, 255])), SHAPE, "$.segment"),
    (record(segments=[str(at) for at in range(PACK_NAMES_MAX + 1)]), LIMIT, "$.segments"),
    (record(flags=bytes([0, 4, 0])), SHAPE, "$.flags"),
    (record(flags=bytes(6)), SHAPE, "$.flags"),
    (record(latency_ms=floats(1, 2)), SHAPE, "$.latency_ms"),
    (record(latency_ms=[bytes(8), b"\x01"]), SHAPE, "$.latency_ms"),
    (record(latency_ms=[bytes(8), b"\x03\x00"]), SHAPE, "$.latency_ms"),
    (record(latency_ms=[bytes(16), b"\x01\x00\x01\x00"]), SHAPE, "$.latency_ms"),
    (record(latency_ms=[bytes(16), b"\x02\x00\x01\x00"]), SHAPE, "$.latency_ms"),
    (record(latency_ms=floats(1, -0.5, 1)), "negative latency", "$.latency_ms"),
    (record(latency_ms=floats(1, float("nan"), 1)), "number not finite", "$.latency_ms"),
    (
        record(values={"a": floats(1, 2, 3), "tokens": floats(1, float("inf"), 3)}),
        "number not finite",
        "$.values.tokens",
    ),
    (record(values={"tokens": floats(1, 2, -1e101)}), RANGE, "$.values.tokens"),
    (record(values={"": floats(1, 2, 3)}), "empty name", "$.values."),
    (record(values={"x" * 257: floats(1, 2, 3)}), TOO_LONG, f"$.values.{'x' * 64}"),
    (record(values={str(at): floats(1, 2, 3) for at in range(PACK_NAMES_MAX + 1)}), LIMIT, "$.values"),
    (record(labels={"finish": [["stop"], bytes([0, 1, 0])]}), SHAPE, "$.labels.finish"),
    (record(labels={"finish": [[], bytes(3)]}), LIMIT, "$.labels.finish"),
    (record(labels={"finish": [["y" * 257], bytes(3)]}), TOO_LONG, "$.labels.finish"),
    (record(labels={"finish": [["stop"], b"\x00", b"\x07\x00"]}), SHAPE, "$.labels.finish"),
    (record(unit=[bytes(8)]), SHAPE, "$.unit"),
    (record(unit=[bytes(16), b"\x01\x00\x00\x00"]), SHAPE, "$.unit"),
    (record(epoch=[bytes(9)]), SHAPE, "$.epoch"),
    (record(bucket=[bytes(3), b"\x00\x00\x01\x00\x03\x00"]), SHAPE, "$.bucket"),
    (record(service=""), "empty name", "$.service"),
    (record(versions=["v1", ""]), "empty name", "$.versions"),
    (record(segments=["eu", "s" * 257]), TOO_LONG, "$.segments"),
    (record(base_ms=1 << 54), RANGE, "$.base_ms"),
    (record(base_ms=BASE_MS + TS_AHEAD_MAX_MS), "ts_ms more than 5 minutes after the log time", "$.ts"),
    (record(base_ms=BASE_MS - TS_BEHIND_MAX_MS - 1), "ts_ms more than 24 hours before the log time", "$.ts"),
    (record(padding="x" * PACK_BYTES_MAX), LIMIT, "$"),
]


@pytest.mark.parametrize(("raw", "reason", "path"), BAD)
def test_a_malformed_pack_is_one_dead_letter(raw: bytes, reason: str, path: str) -> None:
    """It is refused with its reason and place, among good packs and JSON, and nothing of it is counted."""
    assert reason in REASONS
    good: list[bytes | None] = [record(), *as_json([PLAIN])]
    expected, none = counted([*good, *good])
    assert none == []
    assert counted([*good, raw, *good]) == (expected, [(reason, path)])
    assert counted([raw]) == (counted([b"{"])[0], [(reason, path)])
    assert counted([raw, raw])[1] == [(reason, path)] * 2


def test_all_of_a_good_pack_is_read() -> None:
    """The record that the malformed ones are made of is good: its widths, indexes and unknown keys are read."""
    columns, refused = RecordDecoder().build(Records.of([record()], [BASE_MS]))
    assert refused == []
    assert columns.row.tolist() == [0, 0, 0]
    pane = BASE_MS // PANE_MS
    assert [columns.name_of(code) for code in columns.cell.tolist()] == [
        ("chat", "v1", "", pane, False), ("chat", "v2", "eu", pane, False), ("chat", "v1", "eu", pane, True),
    ]  # fmt: skip
    numbers = zip(*(one.tolist() for one in columns.numbers()), strict=True)
    assert sorted((at, columns.metric_names[code][0], value) for at, code, value in numbers) == [
        (0, "latency_ms", 1.5), (0, "values.tokens", 1.0), (1, "values.tokens", 2.0),
        (2, "latency_ms", 2.5), (2, "values.tokens", 0.1),
    ]  # fmt: skip
    assert (columns.request.tolist(), columns.error.tolist()) == ([True, True, False], [False, True, False])


@given(st.lists(st.tuples(st.integers(4, len(record()) - 1), st.integers(0, 255)), max_size=4), st.integers(0, 30))
@settings(max_examples=500, deadline=None)
def test_no_bytes_stop_the_rest(changes: list[tuple[int, int]], cut: int) -> None:
    """Whatever is done to the bytes of a pack, it is one dead letter or counts three events, and hurts no other."""
    raw = bytearray(record())
    for at, byte in changes:
        raw[at] = byte
    broken = bytes(raw[: len(raw) - cut])
    columns, refused = RecordDecoder().build(Records.of([record(), broken, record()], [BASE_MS] * 3))
    rows = columns.row.tolist()
    assert (rows.count(0), rows.count(2)) == (3, 3)
    assert [one.row for one in refused] == [1] * (rows.count(1) == 0)
    assert rows.count(1) in (0, 1, 2, 3)


VECTORS: dict[str, Any] = json.loads((TESTDATA / "packed_vectors.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("vector", VECTORS["good"], ids=lambda one: str(one["name"]))
def test_the_vectors_are_read(vector: dict[str, Any]) -> None:
    """The record of each vector counts as its events in JSON do."""
    in_json: list[bytes | None] = [msgspec.json.encode(one) for one in vector["events"]]
    expected = counted(in_json, log_ms=vector["log_ms"])
    assert expected[1] == []
    assert counted([bytes.fromhex(vector["record"])], log_ms=vector["log_ms"]) == expected


@pytest.mark.parametrize("vector", VECTORS["bad"], ids=lambda one: str(one["name"]))
def test_the_bad_vectors_are_refused(vector: dict[str, Any]) -> None:
    """The record of each vector is refused with its reason and path."""
    _, refused = counted([bytes.fromhex(vector["record"])], log_ms=vector["log_ms"])
    assert refused == [(vector["reason"], vector["path"])]


@given(st.lists(st.binary(min_size=8, max_size=8), min_size=1, max_size=20))
def test_units_are_hashed_as_their_hex_digits(units: list[bytes]) -> None:
    """The hash in bulk is murmur3 of the strings that events in JSON carry."""
    assert digests_of_hex(b"".join(units)).astype("<u8").tobytes() == unit_digests(unit.hex() for unit in units)


def test_a_signalling_nan_beside_wider_numbers_is_a_nan() -> None:
    """Arrays of four and of eight bytes are widened together; what only a broken producer sends makes no noise."""
    narrow, wide = b"\x01\x00\xa0\x7f", np.array([1.5]).tobytes()
    found = Entries.of([(0, 1, narrow, b"", 0), (1, 1, wide, b"", 0)]).floats()
    assert (np.isnan(found[0]), found[1]) == (True, 1.5)
