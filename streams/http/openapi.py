"""``GET /v1/openapi.json``: the HTTP interface, described from the types that it uses."""

from __future__ import annotations

import functools
from typing import Any

import msgspec
from aiohttp import web

from schemas.command import EPOCH_MAX
from schemas.decision import Decision, Refusal
from schemas.plan import Plan
from schemas.report import PANE_MS
from schemas.units import schema_hook
from streams.http.health import Health
from streams.http.json_answer import json_answer
from streams.http.orders import Order, Taken
from streams.http.release import DecisionList, ReleaseNow
from streams.http.window_query import LIMITS, WindowPage
from streams.http.windows import ServiceList


class ProblemDocument(msgspec.Struct, frozen=True):
    """An error, RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    instance: str


_TYPES = (
    ServiceList, WindowPage, ReleaseNow, DecisionList, Decision, Refusal, Plan, Order, Taken, Health, ProblemDocument
)  # fmt: skip

_SERVICE = {"name": "service", "in": "path", "required": True, "schema": {"type": "string"}}


_START: dict[str, dict[str, Any]] = {
    "actor": {"type": "string"},
    "reason": {"type": "string"},
    "expected_epoch": {"type": "integer", "minimum": 0, "maximum": EPOCH_MAX},
    "replace": {"type": "boolean"},
}
"""What a start says beside its plan, in the query."""


@functools.cache
def openapi() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    _, components = msgspec.json.schema_components(
        _TYPES, ref_template="#/components/schemas/{name}", schema_hook=schema_hook
    )
    one = "/v1/services/{service}"
    return {
        "openapi": "3.1.0",
        "info": {"title": "Serinus worker", "version": "1"},
        "paths": {
            "/v1/services": {"get": _operation("All services", {200: "ServiceList"})},
            f"{one}/windows": {
                "get": _operation("Windowed statistics", {200: "WindowPage"}, parameters=[_SERVICE, *_query()])
            },
            f"{one}/release": {
                "get": _operation("State and current evidence", {200: "ReleaseNow"}, parameters=[_SERVICE]),
                "post": _operation(
                    "Start a release",
                    {201: "Decision", 202: "Taken", 409: "ProblemDocument"},
                    parameters=[_SERVICE, *(_in_query(name, schema) for name, schema in _START.items())],
                    body="Plan",
                ),
            },
            f"{one}/release/commands": {
                "post": _operation(
                    "Pause, resume, promote, roll back, abort, set a weight",
                    {201: "Decision", 202: "Taken", 409: "ProblemDocument"},
                    parameters=[_SERVICE],
                    body="Order",
                )
            },
            f"{one}/decisions": {"get": _operation("History", {200: "DecisionList"}, parameters=[_SERVICE])},
            "/v1/stream": {
                "get": _operation(
                    "Decisions and windows as server-sent events", {200: None}, parameters=[_text("service")]
                )
            },
            "/v1/openapi.json": {"get": _operation("This document", {200: None})},
            "/healthz": {"get": _operation("Liveness by progress", {200: "Health", 503: "Health"})},
            "/readyz": {"get": _operation("Readiness", {200: "Health", 503: "Health"})},
            "/metrics": {"get": _operation("Prometheus metrics", {200: None})},
        },
        "components": {"schemas": components},
    }


async def document(_request: web.Request) -> web.StreamResponse:
    """The description of this interface."""
    return json_answer(openapi())


def _operation(
    summary: str,
    answers: dict[int, str | None],
    *,
    parameters: list[dict[str, Any]] | None = None,
    body: str | None = None,
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {
            **{str(status): _response(status, name) for status, name in answers.items()},
            "default": _response(0, "ProblemDocument"),
        },
    }
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(body)}}}
    return operation


def _response(status: int, name: str | None) -> dict[str, Any]:
    response: dict[str, Any] = {"description": {201: "carried out", 202: "taken", 409: "refused"}.get(status, "answer")}
    if name is not None:
        kind = "application/problem+json" if name == "ProblemDocument" else "application/json"
        response["content"] = {kind: {"schema": _ref(name)}}
    return response


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _query() -> list[dict[str, Any]]:
    numbers = []
    for name, (low, high) in LIMITS.items():
        schema = {"type": "integer", "minimum": low, "maximum": high}
        if name == "window_ms":
            schema["multipleOf"] = PANE_MS
        numbers.append({"name": name, "in": "query", "required": False, "schema": schema})
    return [*numbers, _text("version"), _text("segment")]


def _text(name: str) -> dict[str, Any]:
    return _in_query(name, {"type": "string"})


def _in_query(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema}
