"""The router in JavaScript under `examples/`: its own tests, and the same answers as the Python one to anything."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serinus import Router
from serinus.clocks import Clock

ROOT = Path(__file__).resolve().parents[2]
NODE_MAJOR_MIN = 20


def node() -> str:
    """The path of Node.js; fails and says what to do where there is none, for a skipped test would hide it."""
    path = shutil.which("node")
    found = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout if path else "none"
    if path is None or int(found.removeprefix("v").split(".")[0]) < NODE_MAJOR_MIN:
        pytest.fail(f"needs Node.js {NODE_MAJOR_MIN} or newer, found {found.strip()} (Debian: apt-get install nodejs)")
    return path


def test_its_own_tests_pass() -> None:
    """The shared vectors, leases, fencing, forced versions, and what is no route."""
    folder = ROOT / "examples" / "router-js"
    done = subprocess.run(
        [node(), "--test"], cwd=folder, capture_output=True, text=True, timeout=120, check=False, encoding="utf-8"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the vectors are those that this router is written for" in done.stdout, "no test was found"


class Javascript:
    """A process that answers one case a line."""

    def __init__(self) -> None:
        driver = Path(__file__).with_name("router_driver.mjs")
        self._process = subprocess.Popen(
            [node(), str(driver)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def ask(self, record: bytes, requests: list[dict[str, Any]]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        case = {"record": base64.b64encode(record).decode(), "requests": requests}
        self._process.stdin.write(json.dumps(case) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        assert self._process.wait(10) == 0
        self._process.stdout.close()


@pytest.fixture(scope="module")
def javascript() -> Iterator[Javascript]:
    process = Javascript()
    yield process
    process.close()


def python(record: bytes, requests: list[dict[str, Any]]) -> dict[str, Any]:
    router = Router(service="chat", fallback="none", clock=Clock(now_ms=lambda: 0, monotonic_s=lambda: 0.0))
    outcome = router.apply(record)
    return {"outcome": outcome.value, "choices": [list(router.route(**request)) for request in requests]}


NAMES = ("v1", "v10", "v2", "\uff5ev", "\U0001f426", "__proto__")
ATTRIBUTES = ("app", "constructor", "__proto__")
VERSIONS = (
    "1",
    "1.2",
    "1.2.0",
    "1.2.0-rc.1",
    "1.2.0-rc.10",
    "1.2.0-rc.1.1",
    "1.2.0-1",
    "1.2.0-x",
    "1.2.0+b.7",
    "1.10.0",
    "2.0.0",
)
NO_VERSIONS = ("v1.2.0", "01.0.0", "1.2.0-01", "1.2.0-", "1.2.3.4", "1.2.0\n", "", "1" * 257, "1" * 256)
NUMBERS = ("8000", "-0", "-0.5", "8e3", "1e999", "08000", " 8000", "0x10", "1_000", "1٣", "+1", ".5", "NaN", "Infinity")
TEXTS = (*VERSIONS, *NO_VERSIONS, *NUMBERS, "pro", "PRO", "true", "\U0001f426x", "null", "__proto__")

texts = st.one_of(st.sampled_from(TEXTS), st.text(max_size=4))
# JSON's 7.0 is a whole number in JavaScript and a fraction in Python: nothing can tell them apart after decoding.
fractions = st.floats(-1e4, 1e4).filter(lambda number: not number.is_integer())
numbers = st.one_of(st.sampled_from([0, -1, 7, 8000, 2**53 - 1]), st.integers(-(10**4), 10**4), fractions)
values = st.one_of(st.sampled_from(VERSIONS), texts, numbers, st.booleans())
bounds = st.sampled_from([-10, 0, 0.5, 8000, 1e4])
segment_names = st.sampled_from(["internal", "beta", "", "*", "\U0001f426"])


def ranges(bound: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={"from": st.none() | bound, "below": st.none() | bound})


questions = st.one_of(
    st.fixed_dictionaries({"equals": texts}),
    st.fixed_dictionaries({"in": st.lists(texts, max_size=4)}),
    st.fixed_dictionaries({"prefix": st.sampled_from(["", "1", "p", "\U0001f426"])}),
    st.fixed_dictionaries({"version": ranges(st.sampled_from(VERSIONS))}),
    st.fixed_dictionaries({"number": ranges(bounds)}),
)
condition = st.builds(
    lambda attribute, asked: {"attribute": attribute, **asked}, st.sampled_from(ATTRIBUTES), questions
)
named = st.fixed_dictionaries({"name": segment_names.filter(bool), "when": st.lists(condition, min_size=1, max_size=2)})


@st.composite
def shares(draw: st.DrawFn) -> dict[str, int]:
    left, found = 1_000_000, {}
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=5, unique=True)):
        found[name] = min(
            left, draw(st.one_of(st.sampled_from([0, 10, 333_333, 1_000_000]), st.integers(0, 1_000_000)))
        )
        left -= found[name]
    return found


@st.composite
def routes(draw: st.DrawFn) -> dict[str, Any]:
    weights = draw(shares())
    weights["v1"] = weights.get("v1", 0) + 1_000_000 - sum(weights.values())
    rules = st.fixed_dictionaries({"segments": st.lists(segment_names, max_size=3), "weights_ppm": shares()})
    return {
        "service": draw(st.sampled_from(["chat", "chat", "chat", "code"])),
        "epoch": draw(st.integers(0, 9)),
        "state": draw(
            st.sampled_from(["scheduled", "ramping", "holding", "paused", "promoted", "rolled_back", "aborted"])
        ),
        "weights_ppm": weights,
        "fallback": draw(st.sampled_from(["v1", "v2"])),
        "salt": draw(st.text(max_size=5)),
        "issued_at_ms": 0,
        "lease_ms": 30_000,
        "rules": draw(st.lists(rules, max_size=3)),
        "segments": draw(st.lists(named, max_size=4)),
        "shadow_ppm": draw(st.one_of(st.just({}), shares())),
    }


PLAIN = {
    "service": "chat", "epoch": 1, "weights_ppm": {"v1": 1_000_000}, "fallback": "v1", "salt": "", "issued_at_ms": 0,
    "lease_ms": 30_000,
}  # fmt: skip

# Lone surrogates as well: an id may hold anything that a text can.
units = st.text(st.characters(), min_size=1, max_size=6)
requests = st.fixed_dictionaries(
    {"unit": units},
    optional={
        "segment": segment_names,
        "attributes": st.dictionaries(
            st.sampled_from(ATTRIBUTES), st.one_of(texts, numbers, st.booleans()), max_size=4
        ),
        "forced": st.sampled_from(NAMES),
    },
)


@settings(max_examples=100)
@given(route=routes(), asked=st.lists(requests, min_size=1, max_size=6))
def test_both_answer_the_same(javascript: Javascript, route: dict[str, Any], asked: list[dict[str, Any]]) -> None:
    """Valid routes, those of another service, and requests of every kind."""
    record = json.dumps(route).encode()
    assert javascript.ask(record, asked) == python(record, asked)


@settings(max_examples=100)
@given(asked=st.lists(condition, min_size=8, max_size=8), found=st.lists(values, min_size=8, max_size=8))
def test_both_name_the_same_segments(javascript: Javascript, asked: list[dict[str, Any]], found: list[Any]) -> None:
    """Each of eight attributes is asked one question, and which are answered yes is told by as many requests."""
    segments = [{"name": f"s{n}", "when": [{**it, "attribute": f"a{n}"}]} for n, it in enumerate(asked)]
    route = {**PLAIN, "segments": segments}
    requests = [{"unit": "u", "attributes": {f"a{n}": value}} for n, value in enumerate(found)]
    record = json.dumps(route).encode()
    assert javascript.ask(record, requests) == python(record, requests)


JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 0, 1.5, 1_000_001, 2**63, "", "x" * 257, [], {}, [None], {"v2": 1}, [{}], "\U0001f426" * 256]
)


@settings(max_examples=100)
@given(route=routes(), field=st.integers(0, 10), junk=JUNK, inside=st.booleans())
def test_both_refuse_the_same(
    javascript: Javascript, route: dict[str, Any], field: int, junk: Any, inside: bool
) -> None:
    """Whatever stands in a field, both take the record for a route or neither does."""
    key = list(route)[field]
    if inside and isinstance(route[key], dict):
        route[key]["v2"] = junk
    elif inside and isinstance(route[key], list) and route[key]:
        route[key][0] = {**route[key][0], list(route[key][0])[-1]: junk}
    else:
        route[key] = junk
    record = json.dumps(route).encode()
    asked = [{"unit": "u", "segment": "beta"}]
    assert javascript.ask(record, asked) == python(record, asked)
