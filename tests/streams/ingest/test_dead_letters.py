"""Every kind of bad record gets its reason and place, and hurts no good one."""

from __future__ import annotations

import base64
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.event import (
    RECORD_BYTES_MAX,
    TS_AHEAD_MAX_MS,
    TS_BEHIND_MAX_MS,
    InferenceEvent,
    decode_event,
    encode_event,
    faults,
)
from streams.ingest.dead_letters import REASONS, Refused, dead_letter
from streams.ingest.general import ColumnBuilder
from streams.ingest.records import Records
from tests.streams.ingest.samples import BASE_MS, event


def fields(text: str) -> bytes:
    """A good event but for ``text``, which comes last and so wins."""
    return b'{"service":"chat","version":"v1","ts_ms":%d,%s}' % (BASE_MS, text.encode())


LONG = "n" * 257
AHEAD = "ts_ms more than 5 minutes after the log time"
BEHIND = "ts_ms more than 24 hours before the log time"
TOO_LONG = "name longer than 256 characters"

BAD: list[tuple[bytes | None, str, str]] = [
    (None, "no value", "$"),
    (b"", "not JSON", "$"),
    (b" \n", "not JSON", "$"),
    (b"hello", "not JSON", "$"),
    (b'{"service":"chat"', "not JSON", "$"),
    (b"{'service':'chat'}", "not JSON", "$"),
    (encode_event(event()) + b"x", "not JSON", "$"),
    (encode_event(event()) * 2, "not JSON", "$"),
    (fields('"latency_ms":NaN'), "not JSON", "$"),
    (fields('"latency_ms":Infinity'), "not JSON", "$"),
    (fields('"segment":"\\ud800"'), "not JSON", "$"),
    (fields('"segment":"eu",'), "not JSON", "$"),
    (b"\xef\xbb\xbf" + encode_event(event()), "not JSON", "$"),
    (b"\xff\xfe{", "not UTF-8", "$"),
    (b'{"service":"\xff","version":"v1","ts_ms":1}', "not UTF-8", "$"),
    (b"\x82\xa7service\xa4chat", "not UTF-8", "$"),
    (b"[]", "not an object", "$"),
    (b"null", "not an object", "$"),
    (b"17", "not an object", "$"),
    (b'"chat"', "not an object", "$"),
    (b"{}", "missing field", "$.service"),
    (b'{"service":"chat","ts_ms":1}', "missing field", "$.version"),
    (b'{"service":"chat","version":"v1"}', "missing field", "$.ts_ms"),
    (fields('"service":7'), "wrong type", "$.service"),
    (fields('"version":null'), "wrong type", "$.version"),
    (fields('"ts_ms":"now"'), "wrong type", "$.ts_ms"),
    (fields('"ts_ms":1.5'), "wrong type", "$.ts_ms"),
    (fields('"kind":"reply"'), "wrong type", "$.kind"),
    (fields('"error":1'), "wrong type", "$.error"),
    (fields('"latency_ms":"12"'), "wrong type", "$.latency_ms"),
    (fields('"values":[1]'), "wrong type", "$.values"),
    (fields('"values":{"a":1,"b":"x"}'), "wrong type", "$.values.b"),
    (fields('"values":{"a":null}'), "wrong type", "$.values.a"),
    (fields('"labels":{"a":"x","b c":1}'), "wrong type", "$.labels.b c"),
    (fields('"segment":null'), "wrong type", "$.segment"),
    (fields('"unit":5'), "wrong type", "$.unit"),
    (fields('"epoch":"1"'), "wrong type", "$.epoch"),
    (fields('"latency_ms":1e999'), "number out of range", "$.latency_ms"),
    (fields('"values":{"a":-1e999}'), "number out of range", "$.values.a"),
    (fields('"values":{"a":1e101}'), "number out of range", "$.values.a"),
    (fields('"latency_ms":1e101'), "number out of range", "$.latency_ms"),
    (fields('"latency_ms":-0.5'), "negative latency", "$.latency_ms"),
    (fields('"service":""'), "empty name", "$.service"),
    (fields('"version":""'), "empty name", "$.version"),
    (fields('"values":{"":1}'), "empty name", "$.values."),
    (fields('"labels":{"":"x"}'), "empty name", "$.labels."),
    (fields(f'"service":"{LONG}"'), TOO_LONG, "$.service"),
    (fields(f'"version":"{LONG}"'), TOO_LONG, "$.version"),
    (fields(f'"segment":"{LONG}"'), TOO_LONG, "$.segment"),
    (fields(f'"values":{{"{LONG}":1}}'), TOO_LONG, f"$.values.{LONG[:64]}"),
    (fields(f'"labels":{{"{LONG}":"x"}}'), TOO_LONG, f"$.labels.{LONG[:64]}"),
    (fields(f'"labels":{{"a":"{LONG}"}}'), TOO_LONG, "$.labels.a"),
    (fields(f'"ts_ms":{BASE_MS + TS_AHEAD_MAX_MS + 1}'), AHEAD, "$.ts_ms"),
    (fields(f'"ts_ms":{BASE_MS - TS_BEHIND_MAX_MS - 1}'), BEHIND, "$.ts_ms"),
    (fields('"ts_ms":18446744073709551615'), AHEAD, "$.ts_ms"),
    (fields('"ts_ms":-99999999999999999999999'), BEHIND, "$.ts_ms"),
    (fields('"z":' + "[" * 60_000), "nested too deeply", "$"),
    (fields('"z":"' + "z" * RECORD_BYTES_MAX + '"'), "record larger than 64 KiB", "$"),
    (b"\x00" * (RECORD_BYTES_MAX + 1), "record larger than 64 KiB", "$"),
]

GOOD: list[bytes] = [
    encode_event(event()),
    fields('"z":{"newer":[1,2,3]}'),
    fields('"latency_ms":0'),
    fields('"latency_ms":-0.0'),
    fields('"latency_ms":null,"values":null,"labels":null,"unit":null'),
    fields('"values":{"a":-7,"b":1e100},"labels":{"a":""}'),
    fields(f'"ts_ms":{BASE_MS + TS_AHEAD_MAX_MS}'),
    fields(f'"ts_ms":{BASE_MS - TS_BEHIND_MAX_MS}'),
    fields(f'"service":"{LONG[:256]}"'),
    fields('"kind":"feedback","values":{"rating":4}'),
    fields('"segment":"\\u0000"'),
    fields('"service":"😀"'),
]


def build(raws: list[bytes | None]) -> tuple[list[int], list[Refused]]:
    columns, refused = ColumnBuilder().build(Records.of(raws, [BASE_MS] * len(raws)))
    return columns.row.tolist(), refused


@pytest.mark.parametrize(("raw", "reason", "path"), BAD)
def test_the_reason_and_the_path_are_right(raw: bytes | None, reason: str, path: str) -> None:
    """A bad record alone is refused with the right reason and path."""
    rows, refused = build([raw])
    assert rows == []
    assert [(one.row, one.reason, one.path) for one in refused] == [(0, reason, path)]


def test_good_records_among_bad_ones_are_all_kept() -> None:
    """In a shuffled mix each bad record is refused as when alone and every good one is kept."""
    rng = random.Random(3)
    mix = [(raw, reason) for raw, reason, _ in BAD * 4] + [(raw, "") for raw in GOOD * 20]
    rng.shuffle(mix)
    rows, refused = build([raw for raw, _ in mix])
    assert rows == [row for row, (_, reason) in enumerate(mix) if not reason]
    assert [(one.row, one.reason) for one in refused] == [(row, one[1]) for row, one in enumerate(mix) if one[1]]


def test_every_reason_is_of_the_fixed_set() -> None:
    """The kinds above are many, and no reason is outside the set by which metrics are counted."""
    assert len(BAD) >= 30
    assert {reason for _, reason, _ in BAD} <= REASONS


any_event = st.builds(
    InferenceEvent,
    service=st.text(max_size=3),
    version=st.sampled_from(["", "v1", "v" * 257]),
    ts_ms=st.sampled_from([0, BASE_MS, BASE_MS + TS_AHEAD_MAX_MS, BASE_MS + TS_AHEAD_MAX_MS + 1, 2**70, -(2**70)]),
    latency_ms=st.none() | st.floats(-1, 1e100, allow_nan=False),
    values=st.none() | st.dictionaries(st.sampled_from(["", "a", "x" * 257]), st.floats(-1e100, 1e100), max_size=2),
    labels=st.none() | st.dictionaries(st.sampled_from(["", "a", "x" * 257]), st.sampled_from(["", "y" * 257])),
    segment=st.sampled_from(["", "eu", "s" * 257]),
)


@given(st.lists(any_event, max_size=12))
@settings(max_examples=200, deadline=None)
def test_checks_in_bulk_equal_checks_one_by_one(events: list[InferenceEvent]) -> None:
    """The vectorised checks refuse exactly the events that the schema's own check refuses."""
    raws: list[bytes | None] = [msgspec.json.encode(one) for one in events]
    rows, refused = build(raws)
    expected = [faults(decode_event(raw), BASE_MS) for raw in raws if raw is not None]
    assert [(one.reason, one.path) for one in refused] == [found for found in expected if found]
    assert rows == [row for row, found in enumerate(expected) if not found]


@given(st.lists(st.binary(max_size=40) | st.sampled_from(GOOD), max_size=20))
@settings(max_examples=200, deadline=None)
def test_no_bytes_stop_the_rest(raws: list[bytes]) -> None:
    """Whatever the bytes, each record is either kept or refused, once."""
    rows, refused = build(list(raws))
    assert sorted(rows + [one.row for one in refused]) == list(range(len(raws)))


def test_the_letter_carries_the_bytes() -> None:
    """The dead letter names its source and holds the raw bytes, at most 64 KiB of them, with a flag."""
    raw = b"\x00\xff" * RECORD_BYTES_MAX
    letter = dead_letter(Refused(0, "not JSON", "$", "why"), raw, topic="t", partition=3, offset=9)
    assert (letter.topic, letter.partition, letter.offset, letter.truncated) == ("t", 3, 9, True)
    assert base64.b64decode(letter.raw_base64) == raw[:RECORD_BYTES_MAX]
    empty = dead_letter(Refused(0, "no value", "$"), None, topic="t", partition=0, offset=0)
    assert (empty.raw_base64, empty.truncated) == ("", False)
