"""The schemas as their projects publish them; `testdata/make_schemas.py` says whence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator
from referencing import Registry, Resource

TESTDATA = Path(__file__).parent / "testdata"


def _load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((TESTDATA / f"{name}.json").read_text(encoding="utf-8"))
    return found


_REGISTRY: Registry[Any] = Registry().with_resources(
    (f"https://flagd.dev/schema/v0/{name}.json", Resource.from_contents(_load(f"flagd_{name}")))
    for name in ("flags", "targeting")
)
_VALIDATORS = {
    name: Draft7Validator(_load(name), registry=_REGISTRY)
    for name in ("httproute", "virtualservice", "inferenceservice", "flagd_flags")
}


def complaints(name: str, document: dict[str, Any]) -> list[str]:
    """What a published schema has against a document."""
    return [f"{error.json_path}: {error.message}" for error in _VALIDATORS[name].iter_errors(document)]
