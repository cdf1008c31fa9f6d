"""Rendered documents: valid by the published schemas, and each version gets exactly what the splitter would give it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from schemas.rule import Rule
from schemas.units import PPM
from streams.in_force import InForce
from streams.render.flagd import flags
from streams.render.gateway_api import http_route
from streams.render.groups import InexpressibleError
from streams.render.istio import virtual_service
from streams.render.kserve import inference_service, lost_to_rounding
from streams.render.placement import Placement
from tests.streams.render.published import complaints
from tests.streams.render.routes import FALLBACK, SEGMENTS, asked_ppm, routes_in_force

HTTP_ROUTE = Placement(
    "chat", "prod", port=8080, gateway="infra/public", hostnames=("a.example",), segment_header="X-S"
)
SUBSETS = Placement("chat", backend="chat", subset="{version}", gateway="infra/public", segment_header="X-S")
FALLBACK_ONLY = InForce("chat", {FALLBACK: PPM}, FALLBACK, "the lease of epoch 7 has run out and was not renewed")
SEEN = [*SEGMENTS, "elsewhere", ""]


def http_route_gives(document: dict[str, Any], segment: str) -> dict[str, int]:
    """As the Gateway API resolves it: most matched headers first, then the order."""
    best: tuple[int, dict[str, Any]] = (-1, {})
    for rule in document["spec"]["rules"]:
        for match in rule.get("matches", [{}]):
            headers = match.get("headers", [])
            if (
                all((header["name"], header["value"]) == ("X-S", segment) for header in headers)
                and len(headers) > best[0]
            ):
                best = len(headers), rule
    return {ref["name"].removeprefix("chat-"): ref["weight"] for ref in best[1]["backendRefs"]}


def virtual_service_gives(document: dict[str, Any], segment: str) -> dict[str, int]:
    """As Istio resolves it: the first route that matches."""
    for route in document["spec"]["http"]:
        if (
            any(match == {"headers": {"x-s": {"exact": segment}}} for match in route.get("match", []))
            or "match" not in route
        ):
            return {part["destination"]["subset"]: part["weight"] for part in route["route"]}
    raise AssertionError("no route is for everyone")


@given(routes_in_force())
def test_http_route(now: InForce) -> None:
    """For every segment the weights are those of the splitter, though a gateway asks rules in another order."""
    document = http_route(now, HTTP_ROUTE)
    assert not complaints("httproute", document)
    for segment in SEEN:
        assert http_route_gives(document, segment) == asked_ppm(now, segment)


@given(routes_in_force())
def test_virtual_service(now: InForce) -> None:
    """The same for Istio, whose destinations are subsets of one host here."""
    document = virtual_service(now, SUBSETS)
    assert not complaints("virtualservice", document)
    for segment in SEEN:
        assert virtual_service_gives(document, segment) == asked_ppm(now, segment)


@given(routes_in_force(canaries_max=1, rules_max=0))
def test_inference_service(now: InForce) -> None:
    """Whole percentages, and the canary never has more than was asked for, whichever revision is the newer one."""
    asked = asked_ppm(now, "").get("v10", 0)
    for latest in ("v10", FALLBACK):
        document = inference_service(now, latest=latest, name="chat", namespace=None)
        assert not complaints("inferenceservice", document)
        newest = document["spec"]["predictor"]["canaryTrafficPercent"] * PPM // 100
        given_ppm = newest if latest == "v10" else PPM - newest
        assert 0 <= asked - given_ppm < PPM // 100
        assert bool(lost_to_rounding(now)) == (asked != given_ppm)


@settings(max_examples=25)  # flagd's schema asks each of its rules whether an expression is one: 0.1 s a document
@given(routes_in_force())
def test_flag(now: InForce) -> None:
    """flagd's schema takes it, and every variant that it may come to is one of the flag's."""
    document = flags(now, flag="chat", segment="segment")
    assert not complaints("flagd_flags", document)
    flag = document["flags"]["chat"]
    assert flag["defaultVariant"] == FALLBACK and set(now.weights_ppm) <= set(flag["variants"])


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("httproute", http_route(FALLBACK_ONLY, Placement("chat", port=80))),
        ("virtualservice", virtual_service(FALLBACK_ONLY, Placement("chat"))),
        ("inferenceservice", inference_service(FALLBACK_ONLY, latest="v2", name="chat", namespace=None)),
        ("flagd_flags", flags(FALLBACK_ONLY, flag="chat", segment=None)),
    ],
)
def test_without_a_lease_the_baseline_alone(name: str, document: dict[str, Any]) -> None:
    """Valid, and no canary is in it."""
    assert not complaints(name, document)
    assert "v2" not in repr(document) and "100" not in repr(document.get("spec", {}).get("predictor", ""))


def test_schemas_are_looked_at() -> None:
    """A wrong document is found, also where a reference leads from one of flagd's schemas to the other."""
    route = http_route(FALLBACK_ONLY, HTTP_ROUTE)
    route["spec"]["rules"][0]["backendRefs"][0]["weight"] = PPM + 1
    assert complaints("httproute", route)
    service = virtual_service(FALLBACK_ONLY, SUBSETS)
    service["spec"]["http"][0]["route"][0]["share"] = 1
    assert complaints("virtualservice", service)
    model = inference_service(FALLBACK_ONLY, latest="v2", name="chat", namespace=None)
    model["spec"]["predictor"]["canaryTrafficPercent"] = 0.5
    assert complaints("inferenceservice", model)
    flag = flags(FALLBACK_ONLY, flag="chat", segment=None)
    flag["flags"]["chat"]["targeting"] = {"fractional": [["v1", "all"]]}
    assert complaints("flagd_flags", flag)


def now(weights_ppm: dict[str, int], *rules: Rule, fallback: str = "v1") -> InForce:
    return InForce("chat", weights_ppm, fallback, epoch=7, release_id="chat-1", salt="s", rules=rules)


CANARY = now({"v1": 950_000, "v2": 50_000})
COPIES = msgspec.structs.replace(CANARY, shadow_ppm={"v2": 100_000, "v3": 0})
TWO = now({"v1": 900_000, "v2": 50_000, "v3": 50_000})
INTERNAL = now({"v1": PPM, "v2": 0}, Rule(("internal",), {"v2": PPM}))
NAMELESS = now({"v1": PPM, "v2": 0}, Rule(("",), {"v2": PPM}))
MANY = now({"v1": PPM, "v2": 0}, Rule(tuple(f"tenant-{number}" for number in range(65)), {"v2": PPM}))


def kserve(latest: str) -> Callable[[InForce], dict[str, Any]]:
    return lambda now: inference_service(now, latest=latest, name="chat", namespace=None)


@pytest.mark.parametrize(
    ("render", "asked", "said"),
    [
        (lambda it: http_route(it, Placement("chat")), CANARY, "needs the port"),
        (lambda it: http_route(it, Placement("chat", port=80)), INTERNAL, "rules for 'internal': say by --segment"),
        (lambda it: http_route(it, HTTP_ROUTE), NAMELESS, "requests without a segment"),
        (lambda it: http_route(it, HTTP_ROUTE), MANY, "2 rules that match up to 65 segments"),
        (
            lambda it: http_route(it, Placement("chat", port=80, backend="chat")),
            CANARY,
            "v2 and v1 have the same backend",
        ),
        (lambda it: http_route(it, Placement("chat", port=80)), now({"v1": PPM, "v1.1": 0}), "--backend 'v1.1=NAME'"),
        (lambda it: http_route(it, Placement("chat", port=80)), now({"v1": PPM, "V2": 0}), "'chat-V2' is no name"),
        (lambda it: virtual_service(it, Placement("chat", backend="chat")), CANARY, "the same backend"),
        (lambda it: virtual_service(it, Placement("chat")), INTERNAL, "say by --segment"),
        (lambda it: flags(it, flag="chat", segment=None), INTERNAL, "say by --segment"),
        (kserve("v2"), INTERNAL, "rules by segment"),
        (kserve("v2"), TWO, "the canaries v2, v3; an InferenceService has one"),
        (lambda it: http_route(it, HTTP_ROUTE), COPIES, "it asks for copies to v2"),
        (lambda it: virtual_service(it, SUBSETS), COPIES, "it asks for copies to v2"),
        (lambda it: flags(it, flag="chat", segment=None), COPIES, "it asks for copies to v2"),
        (kserve("v2"), COPIES, "it asks for copies to v2"),
        (kserve("v9"), CANARY, "said to run v9, and it is for v1 and v2"),
    ],
)
def test_what_cannot_be_said_is_refused(render: Callable[[InForce], Any], asked: InForce, said: str) -> None:
    """Nothing is left out in silence: not a rule, not a canary, not a difference between two versions."""
    with pytest.raises(InexpressibleError, match=said):
        render(asked)


def test_names_of_their_own() -> None:
    """A version whose name is none of a Service is given one."""
    placement = Placement("chat", port=80, backends={"v1.1": "chat-v1-1"})
    document = http_route(now({"v1": 990_000, "v1.1": 10_000}), placement)
    assert [ref["name"] for ref in document["spec"]["rules"][0]["backendRefs"]] == ["chat-v1-1", "chat-v1"]


def test_promoted_on_kserve() -> None:
    """After the promotion the newest revision is the fallback and has everything; before the next one, nothing."""
    promoted = now({"v2": PPM}, fallback="v2")
    assert kserve("v2")(promoted)["spec"]["predictor"]["canaryTrafficPercent"] == 100
    assert kserve("v3")(promoted)["spec"]["predictor"]["canaryTrafficPercent"] == 0
