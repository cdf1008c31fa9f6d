"""`serinus route render`: from Kafka, from what `route watch` hands over, and what it refuses."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.settings import Settings
from tests.e2e.pipeline import wait_for
from tests.streams.cli.conftest import Run
from tests.streams.cli.test_route_watch import publish, watching
from tests.streams.render.published import complaints

IN_FORCE: dict[str, Any] = {
    "type": "in_force", "service": "chat", "weights_ppm": {"v1": 950_000, "v2": 50_000}, "fallback": "v1", "epoch": 7,
    "release_id": "chat-1", "state": "ramping", "salt": "s", "rules": [], "segments": [],
}  # fmt: skip
RULES = [{"segments": ["1e3", "on"], "weights_ppm": {"v2": 1_000_000}}]
LONG = {"name": "1e3", "when": [{"attribute": "tokens", "number": {"from": 1000}}]}


@pytest.fixture
def given(tmp_path: Path) -> Any:
    """Writes what is in force into a file and returns the words that make `render` read it."""

    def write(**changes: Any) -> tuple[str, ...]:
        path = tmp_path / "in_force.json"
        path.write_text(json.dumps({**IN_FORCE, **changes}))
        return "route", "render", "chat", "--input", str(path), "--to"

    return write


def test_from_kafka_while_the_lease_holds(run: Run, broker: Settings) -> None:
    """The newest route with its rules; and the baseline alone when its lease has run out, or when there is no route."""
    words = ("route", "render", "chat", "--fallback", "v1", "--to", "gateway-api", "--port", "80", "--segment", "x-s")
    none = yaml.safe_load(run(*words).stdout)
    assert none["metadata"]["annotations"] == {"serinus/fallback": "no route for chat has arrived"}
    publish(broker, 1, 10_000)
    publish(broker, 2, 50_000)
    open_ = yaml.safe_load(run(*words).stdout)
    assert not complaints("httproute", open_)
    internal, everyone = open_["spec"]["rules"]
    assert internal["backendRefs"] == [{"name": "chat-v2", "port": 80, "weight": 1_000_000}]
    assert [ref["weight"] for ref in everyone["backendRefs"]] == [50_000, 950_000]
    publish(broker, 3, 250_000, lease_ms=1)
    wait_for(lambda: "chat-v2" not in run(*words).stdout, 30, what="the lease of epoch 3 runs out")


def test_watch_hands_over_to_render(broker: Settings, tmp_path: Path) -> None:
    """What `watch --exec` puts on the input is what `render --input -` reads, at each change and when a lease ends."""
    render = [sys.executable, "-m", "streams.cli", "route", "render", "chat", "--input", "-", "--to", "istio"]
    script = f"{shlex.join([*render, '--segment', 'x-s', '--json'])} >> {shlex.quote(str(tmp_path / 'applied'))}"
    publish(broker, 4, 10_000)
    with watching(broker, "--exec", shlex.join(["sh", "-c", script])):
        wait_for(lambda: len(applied(tmp_path)) == 1, 30, what="the first document")
        publish(broker, 5, 20_000, lease_ms=3_000)
        wait_for(lambda: len(applied(tmp_path)) == 3, 30, what="the next one, and that of the lost lease")
    assert [document["spec"]["http"][-1]["route"][0]["weight"] for document in applied(tmp_path)] == [
        10_000,
        20_000,
        1_000_000,
    ]


def applied(folder: Path) -> list[dict[str, Any]]:
    path = folder / "applied"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize(
    ("target", "schema"),
    [
        (
            ("gateway-api", "--port", "80", "--segment", "x-s", "--gateway", "infra/public", "--hostname", "a.example"),
            "httproute",
        ),
        (("istio", "--backend", "chat", "--subset", "{version}", "--segment", "x-s"), "virtualservice"),
        (("flagd", "--segment", "group", "--name", "chat-model"), "flagd_flags"),
    ],
)
def test_yaml_and_json_say_the_same(run: Run, given: Any, target: tuple[str, ...], schema: str) -> None:
    """Segments that look like numbers or truth values stay texts in YAML."""
    text, line = run(*given(rules=RULES), *target), run(*given(rules=RULES), *target, "--json")
    assert (text.exit_code, line.exit_code) == (0, 0)
    assert yaml.safe_load(text.stdout) == json.loads(line.stdout)
    assert '"1e3"' in text.stdout and "'on'" in text.stdout, (
        "YAML 1.2 takes the one for a number, YAML 1.1 the other for true"
    )
    assert not complaints(schema, json.loads(line.stdout))


def test_what_is_lost_is_said(run: Run, given: Any) -> None:
    """KServe's whole percentages, and segments that the client library would name by attributes."""
    result = run(*given(weights_ppm={"v1": 974_001, "v2": 25_999}), "kserve", "--latest", "v2")
    assert yaml.safe_load(result.stdout)["spec"] == {"predictor": {"canaryTrafficPercent": 2}}
    assert "v2 gets 2% instead of 2.5999%" in result.stderr
    result = run(*given(rules=RULES, segments=[LONG]), "flagd", "--segment", "group")
    assert (result.exit_code, result.stderr) == (0, "1e3: routers name this by attributes; what sets group must too\n")


@pytest.mark.parametrize(
    ("changes", "target", "said"),
    [
        ({"rules": RULES}, "kserve --latest v2", "the route of chat cannot be said to kserve: it has rules by segment"),
        ({}, "kserve", "--latest is missing"),
        ({}, "flagd --port 80", "--port means nothing to flagd"),
        ({}, "istio --latest v2", "--latest means nothing to istio"),
        ({}, "istio --backend a --backend b", "found the templates a, b; allowed is one"),
        ({"service": "code"}, "flagd", "--input is for code, not for chat"),
        ({"weights_ppm": {"v1": 1}}, "flagd", "weights_ppm sum to 1, allowed: exactly 1000000"),
        ({"rules": [{"segments": ["a"], "weights_ppm": {"v2": -1}}]}, "flagd", "each must be >= 0"),
        ({"only_for": "v2"}, "flagd", "unknown field `only_for`"),
    ],
)
def test_refusals(run: Run, given: Any, changes: dict[str, Any], target: str, said: str) -> None:
    """Nothing is printed that somebody could apply, and the one line says what is wrong."""
    result = run(*given(**changes), *target.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_who_serves_without_a_route_must_be_said(run: Run) -> None:
    """A guess could be a canary."""
    result = run("route", "render", "chat", "--to", "flagd")
    assert (result.exit_code, "--fallback is missing" in result.stderr) == (2, True)
