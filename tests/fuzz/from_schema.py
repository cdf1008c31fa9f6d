"""Values that a JSON Schema of `docs/schemas` allows, drawn at random: the keywords that these documents use."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "schemas"

NAMES = ("chat", "code", "v1", "v2", "eu", "latency_ms", "values.tokens_out", "finish_reason", "stop", "other", "")
"""Few, so that records concern the same services, versions and metrics."""

ODD_NAMES = (
    "\x00", "\n", "é", "\u202e\u2066", "👩‍👩‍👧", "\ufffd\uffff", "a|b", "../..", "x" * 256, "x" * 257, "ü" * 70_000,
    "NaN", "true", "0", "__proto__", "${jndi:x}", "%s%n", "\u0130i\u0307",
)  # fmt: skip

WHOLE = (0, 1, 2, 3, 7, 19, 20, 250, 1_000_000, -1, 2**31, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1, -(2**63))
FLOATS = (0.0, 1.0, 0.5, 12.5, 1e-9, -1.0, 1e100, 1e101, 1.7e308, -1.7e308, 5e-324, 1e15)
NUMBERS = (*WHOLE, *FLOATS)
_DEPTH_MAX = 12


class FromSchema:
    """Draws values of one document.

    Parameters
    ----------
    name : of the document: ``event``, ``report``.
    times_ms : whole numbers are one of these now and then, so that records are about now.
    """

    def __init__(self, name: str, draw: Random, times_ms: tuple[int, ...]) -> None:
        document: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
        self._root, self._definitions = document, document.get("$defs", {})
        self._draw, self._times_ms = draw, times_ms

    def value(self) -> Any:
        """One value."""
        return self._of(self._root, 0)

    def _of(self, schema: dict[str, Any], depth: int) -> Any:
        draw = self._draw
        if "$ref" in schema:
            return self._of(self._definitions[schema["$ref"].rpartition("/")[2]], depth)
        if "anyOf" in schema:
            options = schema["anyOf"] if depth < _DEPTH_MAX else schema["anyOf"][-1:]
            return self._of(draw.choice(options), depth + 1)
        return draw.choice(schema["enum"]) if "enum" in schema else self._typed(schema, depth)

    def _typed(self, schema: dict[str, Any], depth: int) -> Any:
        draw = self._draw
        match schema.get("type"):
            case "object":
                return self._object(schema, depth + 1)
            case "array":
                return self._array(schema, depth + 1)
            case "string":
                return self._string(schema)
            case "integer":
                return draw.choice(self._times_ms if draw.random() < 0.3 else WHOLE[:8])
            case "number":
                return draw.choice(FLOATS[:5])
            case "boolean":
                return draw.random() < 0.5
        return None

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        draw, required = self._draw, schema.get("required", ())
        found = {
            name: self._of(one, depth)
            for name, one in schema.get("properties", {}).items()
            if name in required or draw.random() < 0.5
        }
        if isinstance(rest := schema.get("additionalProperties"), dict):
            found |= {draw.choice(NAMES): self._of(rest, depth) for _ in range(draw.randrange(4))}
        return found

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        draw = self._draw
        first = schema.get("prefixItems", [])
        if first:
            least = schema.get("minItems", 0)
            return [self._of(one, depth) for one in first[: draw.randint(least, len(first))]]
        count = draw.randint(schema.get("minItems", 0), min(3, schema.get("maxItems", 3)))
        return [self._of(schema["items"], depth) for _ in range(count)] if depth < _DEPTH_MAX else []

    def _string(self, schema: dict[str, Any]) -> str | bytes:
        draw = self._draw
        if schema.get("contentEncoding") == "base64":
            return draw.randbytes(4 * draw.randrange(5))
        if "examples" in schema:
            return str(draw.choice(schema["examples"]))
        return draw.choice(NAMES)
