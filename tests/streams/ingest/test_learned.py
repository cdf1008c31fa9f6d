"""The learned decoder gives what the general one gives, to the bit, and refuses nothing by itself."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.event import encode_event
from schemas.packed import is_pack
from streams.ingest import decoder as decoder_module
from streams.ingest.columns import Columns
from streams.ingest.dead_letters import Refused
from streams.ingest.decoder import RecordDecoder
from streams.ingest.general import ColumnBuilder
from streams.ingest.learned import FIELDS_MAX, NAMES_MAX, Names, Schema
from streams.ingest.records import Records
from tests.e2e.malformed import kinds
from tests.streams.ingest.samples import BASE_MS, event

Raws = list[bytes | None]


def records(raws: Raws) -> Records:
    return Records.of(raws, [BASE_MS] * len(raws))


def plain(columns: Columns) -> list[Any]:
    """What columns say, event by event, without codes; entries of one name must be in the order of their events."""
    metric_event, metric, value = columns.numbers()
    for event_of, codes in ((metric_event, metric), (columns.labelled(), columns.label)):
        assert all((np.diff(event_of[codes == code]) >= 0).all() for code in np.unique(codes))
    found: list[dict[str, Any]] = [
        {
            "row": int(columns.row[at]),
            "cell": columns.name_of(int(columns.cell[at])),
            "flags": (bool(columns.request[at]), bool(columns.error[at])),
            "unit": unit(columns, at),
            "numbers": [],
            "labels": [],
        }
        for at in range(columns.row.size)
    ]
    for at, code, number in zip(metric_event, metric, value.tolist(), strict=True):
        found[at]["numbers"].append((columns.metric_names[code], number.hex()))
    for at, code in zip(columns.labelled(), columns.label, strict=True):
        found[at]["labels"].append(columns.label_names[code])
    return [{name: sorted(one) if isinstance(one, list) else one for name, one in each.items()} for each in found]


def unit(columns: Columns, at: int) -> Any:
    units = columns.units
    if units is None or units.bucket[at] < 0:
        return None
    return int(units.bucket[at]), int(units.hash[at]), units.route_of(at)


def by_the_judge(raws: Raws) -> tuple[list[Any], list[Refused]]:
    columns, refused = ColumnBuilder().build(records(raws))
    return plain(columns), refused


def learned(raws: Raws) -> RecordDecoder:
    """A decoder that has seen these records."""
    found = RecordDecoder()
    found.build(records(raws))
    return found


SEEN: Raws = [
    encode_event(event(values={"x": 1.0, "y z": 2.5}, labels={"finish": "stop", "é": "ü"}, segment="eu")),
    encode_event(event(version="v2", latency_ms=None, values={"x": -1.0}, labels={"finish": "length"}, unit="u")),
    encode_event(event(kind="feedback", values={"rating": 4.0}, error=True)),
]

texts = st.sampled_from(["chat", "v1", "v2", "eu", "", "stop", "length", "new", "ü", "x" * 257, "\x00", '"', "\n"])
escaped = texts.map(lambda text: "".join(f"\\u{ord(one):04x}" for one in text)).map('"{}"'.format)
strings = st.one_of(texts.map(json.dumps), texts.map(json.dumps), escaped)
numbers = st.one_of(
    st.sampled_from(["0", "-0.0", "1", "12.5", "-3", "1e3", "1e100", "1e101", "-1e101", "1e999", "5e-324", "01", "1."]),
    st.sampled_from(["NaN", "Infinity", "-Infinity", "9" * 30, "-" + "9" * 30, '"12"', "true", "null", "[1]", "{}"]),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(2**70), 2**70).map(str),
)
keys = st.sampled_from(['"x"', '"y z"', '"rating"', '"finish"', '"é"', '"\\u0078"', '"other"', '""', '"q\\"r"'])


def as_object(items: st.SearchStrategy[tuple[str, str]], *, most: int) -> st.SearchStrategy[str]:
    """The text of an object; keys may occur twice."""
    return st.lists(items, max_size=most).map(lambda found: "{" + ",".join(f"{k}:{v}" for k, v in found) + "}")


anything = st.one_of(strings, numbers, st.sampled_from(["[]", '{"a":[1,{"b":null}]}', "[" * 2000 + "]" * 2000]))
times = st.sampled_from([str(BASE_MS), str(BASE_MS + 400_000), str(BASE_MS - 90_000_000), "1.5", f'"{BASE_MS}"'])
items = st.one_of(
    st.tuples(st.sampled_from(['"service"', '"version"', '"segment"', '"unit"', '"kind"']), strings),
    st.tuples(st.just('"ts_ms"'), times | numbers),
    st.tuples(st.sampled_from(['"latency_ms"', '"epoch"', '"bucket"', '"error"']), numbers),
    st.tuples(st.just('"values"'), as_object(st.tuples(keys, numbers), most=3)),
    st.tuples(st.just('"labels"'), as_object(st.tuples(keys, strings), most=3)),
    st.tuples(st.sampled_from(['"values"', '"labels"', '"nobody knows"', '"lat\\u0065ncy_ms"']), anything),
)
GOOD = ['"service":"chat"', '"version":"v1"', f'"ts_ms":{BASE_MS}']


@st.composite
def texts_of_records(draw: st.DrawFn) -> bytes:
    """A record that is good or nearly so: good fields, then some that may be anything, between odd white space."""
    found = [*GOOD, *(f"{key}:{value}" for key, value in draw(st.lists(items, max_size=4)))]
    if draw(st.integers(0, 9)) == 0:
        found.pop(draw(st.integers(0, len(found) - 1)))
    space = draw(st.sampled_from(["", "", " ", "\n", "\t\r\n"]))
    before, after = draw(
        st.sampled_from([("", "")] * 6 + [("\ufeff", ""), ("", "x"), ("", "{}"), ("[", "]"), ("", "\n")])
    )
    return (before + "{" + f",{space}".join(found) + space + "}" + after).encode("utf-8", "surrogatepass")


any_record = st.one_of(texts_of_records(), texts_of_records(), st.sampled_from(SEEN), st.none(), st.binary(max_size=20))
any_record = any_record.filter(lambda raw: raw is None or not is_pack(raw))


@given(st.lists(any_record, max_size=25), st.lists(any_record, max_size=25))
@settings(max_examples=300, deadline=None)
def test_what_was_learned_changes_nothing(before: Raws, raws: Raws) -> None:
    """After any traffic a batch gives the same events, the same numbers to the bit and the same refusals."""
    columns, refused = learned(SEEN + before).build(records(raws))
    assert (plain(columns), refused) == by_the_judge(raws)


@given(st.lists(any_record, min_size=1, max_size=40), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_every_malformed_kind_is_judged_alike_among_any_others(raws: Raws, random: Any) -> None:
    """Each kind of malformed record is refused with its reason and path while the schema decodes the rest."""
    found = kinds(BASE_MS)
    mixed = [*raws, *(kind.raw for kind in found), *SEEN]
    random.shuffle(mixed)
    columns, refused = learned(SEEN).build(records(mixed))
    assert (plain(columns), refused) == by_the_judge(mixed)
    assert {(kind.reason, kind.path) for kind in found} <= {(one.reason, one.path) for one in refused}


def test_events_of_both_decoders_are_in_the_order_of_the_log() -> None:
    """Records that fit and records that do not, in turn, with the same label and metric."""
    odd = encode_event(event(version="v9", values={"x": 3.0}, labels={"finish": "stop"}, segment="eu"))
    mixed: Raws = [odd, SEEN[0], odd, SEEN[0]]
    columns, _ = learned(SEEN).build(records(mixed))
    assert plain(columns) == by_the_judge(mixed)[0]
    assert columns.row.tolist() == [0, 1, 2, 3]


def test_plain_traffic_needs_the_general_decoder_once() -> None:
    """A second batch with the same names goes through the schema alone; a new name is learned from one record."""
    schema = learned(SEEN)._schema
    assert schema is not None
    columns, odd = schema.columns(SEEN, np.full(len(SEEN), BASE_MS))
    assert (columns.row.size, odd) == (len(SEEN), [])
    found = learned(SEEN)
    new = encode_event(event(version="v3", values={"w": 1.0}, labels={"finish": "error"}))
    found.build(records([*SEEN, new]))
    assert found._schema is not None
    assert found._schema.columns([new], np.array([BASE_MS]))[1] == []


def test_the_type_has_the_fields_of_an_event() -> None:
    """A field that events gain is decoded, and checked, by the schema too."""
    schema = Schema(Names(frozenset({"chat"}), frozenset({"v1"})))
    again = encode_event(event())
    assert schema.columns([again], np.array([BASE_MS]))[1] == []
    for name in type(event()).__struct_fields__:
        wrong = again[:-1] + b',"%s":[[]]}' % name.encode()
        assert schema.columns([wrong], np.array([BASE_MS]))[1] == [0], name


def test_a_flood_of_names_neither_fills_the_schema_nor_takes_it_away() -> None:
    """Names that come once each are judged one by one; those that repeat keep their place."""
    found = learned(SEEN * 2_000)
    schema = found._schema
    flood: Raws = [encode_event(event(version=f"v{at}", labels={f"l{at}": "x"})) for at in range(2_000)]
    columns, refused = found.build(records(flood + SEEN * 2_000))
    assert (columns.row.size, refused) == (8_000, [])
    assert found._schema is schema


def test_too_many_names_leave_the_work_to_the_general_decoder() -> None:
    """More names than a schema may have are no schema; when most records stop fitting, it rests."""
    most = Names(
        frozenset(map(str, range(NAMES_MAX))), frozenset({"v"}), metrics=frozenset(map(str, range(FIELDS_MAX)))
    )
    assert most.fit()
    assert not (most | Names(services=frozenset({"one more"}))).fit()
    assert not (most | Names(metrics=frozenset({"one more"}))).fit()
    found = learned(SEEN)
    for start in range(3):
        flood: Raws = [encode_event(event(version=f"{start}-{at}")) for at in range(4_000)]
        columns, refused = found.build(records(flood))
        assert (columns.row.size, refused) == (4_000, [])
    assert found._rest > 0


def test_the_rest_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a flood the schema is used again."""
    monkeypatch.setattr(decoder_module, "_REST", 2)
    found = learned(SEEN)
    found.build(records([encode_event(event(version=f"{at}")) for at in range(4_000)]))
    for _ in range(3):
        found.build(records(SEEN))
    assert found._rest == 0
    assert len(fields(Names)) == 5
