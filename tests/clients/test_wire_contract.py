"""The client and the pipeline share the wire and no code: held against each other and the JSON Schemas, both ways."""

from __future__ import annotations

import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from releases.release_state import Release
from releases.routing import route_of
from schemas.decision import State
from schemas.documents import json_schema
from schemas.event import FORCED_SUFFIX, InferenceEvent, decode_event, faults
from schemas.file_errors import FileError
from schemas.plan import EXAMPLE, parse_plan
from schemas.route import Route, encode_route
from schemas.rule import Rule
from serinus import Emitter, Router
from serinus.event import Emitted, EventEncoder

EVENT_SCHEMA = jsonschema.Draft202012Validator(json_schema("event"))
ROUTE_SCHEMA = jsonschema.Draft202012Validator(json_schema("route"))
TS_MS = 1_700_000_000_000

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(
    version=names,
    error=st.booleans(),
    latency_ms=st.none() | st.floats(0, 1e9),
    values=st.dictionaries(names, numbers, max_size=4),
    labels=st.dictionaries(names, names, max_size=4),
    segment=st.just("") | names,
    unit=st.none() | names,
)
def test_what_the_client_emits_the_pipeline_reads(
    version: str,
    error: bool,
    latency_ms: float | None,
    values: dict[str, float],
    labels: dict[str, str],
    segment: str,
    unit: str | None,
) -> None:
    """An event keeps its meaning on the way, obeys its schema, and is never a dead letter."""
    sent = Emitted(version, TS_MS, "request", error, latency_ms, values, labels, segment, unit, 3, 999_999)
    _, record = EventEncoder("chat").encode(sent)
    EVENT_SCHEMA.validate(json.loads(record))
    event: InferenceEvent = decode_event(record)
    assert faults(event, log_ms=TS_MS) is None
    assert (event.service, event.version, event.error, event.segment) == ("chat", version, error, segment)
    assert event.latency_ms == latency_ms
    assert (event.values or {}) == values
    assert (event.labels or {}) == labels
    assert (event.epoch, event.bucket) == (3, 999_999)
    assert (event.unit is None) == (unit is None)


def test_what_the_worker_publishes_the_router_follows() -> None:
    """A route of the pipeline's type, with a rule, is applied by a real Router and obeys its schema."""
    weights = {"v1": 900_000, "v2": 100_000}
    rule = Rule(("internal",), {"v2": 1_000_000})
    route = Route("chat", "r1", 3, State.RAMPING, weights, "v1", "salt", TS_MS, rules=(rule,))
    ROUTE_SCHEMA.validate(json.loads(encode_route(route)))
    router = Router(service="chat", fallback="v1", start=False)
    router.apply(encode_route(route))
    state = router.state()
    assert (state.epoch, state.weights_ppm, state.release_state) == (3, weights, "ramping")


def test_named_segments_reach_the_router() -> None:
    """As a plan writes them, through the route's JSON, to a router that names a request by them."""
    plan = parse_plan(
        EXAMPLE + "segments: [{name: new, when: [{attribute: app, version: {from: 2.3.0}}, {attribute: n, in: [a]}]}]\n"
    )
    weights = {"v1": 1_000_000, "v2": 0}
    route = Route("chat", "r1", 3, State.RAMPING, weights, "v1", "salt", TS_MS, segments=plan.segments)
    ROUTE_SCHEMA.validate(json.loads(encode_route(route)))
    router = Router(service="chat", fallback="v1", start=False)
    assert router.apply(encode_route(route)) == "applied"
    assert router.route("u", attributes={"app": "2.4.0", "n": "a"}).segment == "new"
    assert router.state().segments == tuple(json.loads(encode_route(route))["segments"])


def test_a_forced_request_is_counted_apart() -> None:
    """Its event has another version's name, which no plan may give to a canary."""
    emitter = Emitter(service="chat", brokers="127.0.0.1:1", start=False)
    emitter.emit(version="v2", forced=True)
    with emitter.request(version="v2", forced=True):
        pass
    assert [queued[0] for queued in emitter._queue] == ["v2" + FORCED_SUFFIX] * 2
    emitter.close(timeout_s=0)
    with pytest.raises(FileError, match="marks requests of testers"):
        parse_plan(EXAMPLE.replace("[v2]", f"['v2{FORCED_SUFFIX}']"))


def test_a_copy_is_no_part_of_the_split() -> None:
    """Its event names no epoch and no bucket, whatever the service hands over."""
    emitter = Emitter(service="chat", brokers="127.0.0.1:1", start=False)
    emitter.emit(version="v2", unit="u", epoch=3, bucket=7, shadow=True)
    with emitter.request(version="v2", unit="u", epoch=3, bucket=7, shadow=True):
        pass
    assert [(queued[0], queued[8:]) for queued in emitter._queue] == [("v2", ("u", None, None))] * 2
    emitter.close(timeout_s=0)


def test_every_route_names_every_version_of_the_release() -> None:
    """A canary at 0 % is named too: the splitter gives each canary a home by the names it sees in the route."""
    release = Release(
        id="r1", plan=parse_plan(EXAMPLE.replace("[v2]", "[v2, v3]").replace("50%", "40%"), file="x"), salt="s",
        state=State.RAMPING, epoch=1, weights_ppm={"v1": 950_000, "v3": 50_000}, opened=1, started_ms=0,
        step_since_ms=0, resumed_ms=0, judged_ms=0, published_ms=0, seen_ms={},
    )  # fmt: skip
    assert route_of(release, now_ms=0).weights_ppm == {"v1": 950_000, "v2": 0, "v3": 50_000}
