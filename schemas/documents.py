"""The schemas as documents for others: a JSON Schema for each record and file, and one AsyncAPI document."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from schemas.basis import Basis
from schemas.command import Command
from schemas.dead_letter import DeadLetter
from schemas.decision import Decision, Refusal
from schemas.event import RECORD_BYTES_MAX, InferenceEvent
from schemas.evidence import Evidence
from schemas.inputs import Forwarded, Tick
from schemas.plan import Plan
from schemas.report import Report
from schemas.retraining import Retraining
from schemas.route import Route
from schemas.scenario import Scenario
from schemas.units import schema_hook

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"

RECORDS: dict[str, type[msgspec.Struct]] = {
    "event": InferenceEvent,
    "dead_letter": DeadLetter,
    "report": Report,
    "tick": Tick,
    "forwarded": Forwarded,
    "command": Command,
    "decision": Decision,
    "refusal": Refusal,
    "evidence": Evidence,
    "route": Route,
    "basis": Basis,
    "plan": Plan,
    "scenario": Scenario,
    "retraining": Retraining,
}

_OF_NO_TOPIC = {"plan", "scenario", "retraining"}

_CHANNELS: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    (
        "inference.events",
        "application/json",
        ("event",),
        "One event per answered request, written by services; or many of them packed (docs/packed.md).",
    ),
    ("inference.events.dead", "application/json", ("dead_letter",), "Events that could not be used, with the reason."),
    ("canary.inputs", "application/msgpack", ("report", "tick", "forwarded"), "The worker's one ordered input."),
    ("canary.commands", "application/json", ("command",), "What operators ask; key is the service."),
    ("canary.decisions", "application/json", ("decision", "refusal"), "The append-only audit; key is the service."),
    ("canary.control", "application/json", ("route",), "What routers follow; compacted, key is the service."),
    ("canary.bases", "application/json", ("basis",), "How ingest counts vectors; compacted, key is the service."),
)


def json_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of one record or file.

    >>> json_schema("tick")["title"]
    'Tick'
    """
    kind = RECORDS[name]
    (top,), parts = msgspec.json.schema_components((kind,), schema_hook=schema_hook, ref_template="#/$defs/{name}")
    title = kind.__name__
    return {"$schema": SCHEMA_DIALECT, "$id": f"serinus:{name}", "title": title, **top, "$defs": dict(parts)}


def asyncapi(version: str) -> dict[str, Any]:
    """One AsyncAPI 3.0 document that describes every topic.

    Parameters
    ----------
    version : of the pipeline.
    """
    kinds = tuple(RECORDS[name] for name in RECORDS if name not in _OF_NO_TOPIC)
    _, parts = msgspec.json.schema_components(
        kinds, schema_hook=schema_hook, ref_template="#/components/schemas/{name}"
    )
    channels: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for topic, content_type, names, description in _CHANNELS:
        channels[topic] = {
            "address": topic,
            "description": description,
            "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        }
        for name in names:
            kind = RECORDS[name].__name__
            messages[name] = {
                "name": name,
                "contentType": content_type,
                "payload": {"$ref": f"#/components/schemas/{kind}"},
            }
    operations = {
        f"{verb}.{topic}": {"action": verb, "channel": {"$ref": f"#/channels/{topic}"}}
        for topic, verb in (
            ("inference.events", "receive"),
            ("canary.commands", "receive"),
            ("inference.events.dead", "send"),
            ("canary.decisions", "send"),
            ("canary.control", "send"),
        )
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Serinus",
            "version": version,
            "description": f"Topics take a configurable prefix. An event is at most {RECORD_BYTES_MAX} bytes.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": dict(parts)},
    }


def documents(version: str) -> dict[str, str]:
    """Every document by file name, as text that is the same on every run.

    >>> sorted(documents("0.1.0"))[:2]
    ['asyncapi.json', 'basis.schema.json']
    """
    found = {f"{name}.schema.json": json_schema(name) for name in RECORDS}
    found["asyncapi.json"] = asyncapi(version)
    return {name: json.dumps(value, indent=2, sort_keys=True) + "\n" for name, value in sorted(found.items())}
