"""The generated documents say what the types say."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml

from schemas.command import Command, Verb, encode_command
from schemas.dead_letter import DeadLetter, encode_dead_letter
from schemas.decision import Action, Decision, Refusal, State, encode_record
from schemas.documents import RECORDS, asyncapi, documents, json_schema
from schemas.event import InferenceEvent, encode_event
from schemas.evidence import Evidence, Verdict
from schemas.plan import EXAMPLE, parse_plan
from schemas.route import Route, encode_route

ROOT = Path(__file__).resolve().parents[2]
EVIDENCE = Evidence("error_rate", "", "v2", "evalue-2x2", 1, "gate", Verdict.PASS, 9, 4, "fine", alpha=0.05)
SAMPLES: dict[str, bytes] = {
    "event": encode_event(InferenceEvent(service="chat", version="v1", ts_ms=1)),
    "dead_letter": encode_dead_letter(DeadLetter("not JSON", "$", "inference.events", 0, 7, "e30=")),
    "command": encode_command(
        Command("id1", "chat", Verb.START, "ana", "first try", 5, plan=parse_plan(EXAMPLE, file="x"))
    ),
    "decision": encode_record(
        Decision(
            "chat", "r1", 3, 9, Action.ADVANCE, State.RAMPING, Verdict.PASS, {"v1": 1}, "serinus", "because",
            {"0": 5}, (EVIDENCE,),
        )
    ),
    "refusal": encode_record(Refusal("chat", "id1", 9, "ana", "no release")),
    "evidence": msgspec.json.encode(EVIDENCE),
    "route": encode_route(Route("chat", "r1", 3, State.RAMPING, {"v1": 1_000_000}, "v1", "salt", 9)),
    "plan": json.dumps(yaml.safe_load(EXAMPLE)).encode(),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_each_schema_is_a_valid_json_schema(name: str) -> None:
    """A generator of clients can read every schema."""
    jsonschema.Draft202012Validator.check_schema(json_schema(name))


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_what_we_encode_obeys_its_schema(name: str) -> None:
    """The types' own output is valid against the schema made from them."""
    jsonschema.Draft202012Validator(json_schema(name)).validate(json.loads(SAMPLES[name]))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("event", {"service": 5}),
        ("event", {"kind": "rumour"}),
        ("route", {"weights_ppm": {"v1": "all"}}),
        ("decision", {"action": "explode"}),
        ("command", {"command": "dance"}),
        ("plan", {"alhpa": 0.1}),
    ],
)
def test_a_wrong_record_breaks_its_schema(name: str, change: dict[str, Any]) -> None:
    """The schemas refuse what the types refuse."""
    wrong = json.loads(SAMPLES[name]) | change
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(json_schema(name)).validate(wrong)


def test_the_committed_documents_are_up_to_date() -> None:
    """What stands in docs/schemas is what the types say (`serinus schemas --out docs/schemas` mends it)."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for name, text in documents(version).items():
        assert (ROOT / "docs" / "schemas" / name).read_text() == text, name


def test_asyncapi_refers_only_to_what_it_defines() -> None:
    """Every reference inside the AsyncAPI document leads somewhere."""
    document = asyncapi("1")

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [ref for value in node.values() for ref in references(value)]
        return [ref for value in node for ref in references(value)] if isinstance(node, list) else []

    for reference in references(document):
        target: Any = document
        for part in reference.removeprefix("#/").split("/"):
            assert part in target, reference
            target = target[part]
