"""Writes `splitter_vectors.json` beside this file: `python make_splitter_vectors.py`; `--check` only compares."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from serinus.route import decode_route, shadows_of, splits_of
from serinus.splitter import BUCKETS, Split, bucket_of

PATH = Path(__file__).with_name("splitter_vectors.json")

UNITS = [
    ("s", "u"), ("", ""), ("", "user-1"), ("chat-2026-11-20T10:00:00Z-1", "user-1"),
    ("chat-2026-11-20T10:00:00Z-1", "user-2"), ("chat-2026-11-20T10:00:00Z-2", "user-1"),
    ("salt", "a:b"), ("salt:a", "b"),
    ("salt", "0"), ("salt", "42"), ("salt", "müller"), ("salt", "日本語"), ("salt", "\U0001f426"), ("salt", "x" * 300),
]  # fmt: skip

ROUTES: list[dict[str, Any]] = [
    {"fallback": "v1", "weights_ppm": {"v1": 1_000_000, "v2": 0}},
    {"fallback": "v1", "weights_ppm": {"v1": 999_990, "v2": 10}},
    {"fallback": "v1", "weights_ppm": {"v1": 950_000, "v2": 50_000}},
    {"fallback": "v2", "weights_ppm": {"v1": 0, "v2": 1_000_000}},
    {"fallback": "v1", "weights_ppm": {"v1": 650_000, "v2": 50_000, "v3": 300_000}},
    {"fallback": "v1", "weights_ppm": {"v1": 0, "v2": 700_000, "v3": 300_000}},
    {"fallback": "v1", "weights_ppm": {"v1": 700_000, "v10": 100_000, "v2": 100_000, "v3": 100_000}},
    {"fallback": "v1", "weights_ppm": {"v1": 100_000, "v2": 500_000, "v3": 0, "v4": 400_000}},
    {"fallback": "v1", "weights_ppm": {"v1": 50_000, "v2": 0, "v3": 600_000, "v4": 350_000}},
    {
        "fallback": "v1",
        "weights_ppm": {"v1": 950_000, "v2": 50_000},
        "rules": [
            {"segments": ["internal"], "weights_ppm": {"v2": 1_000_000}},
            {"segments": ["beta", "internal"], "weights_ppm": {"v2": 200_000}},
        ],
    },
    {
        "fallback": "v1",
        "weights_ppm": {"v1": 1_000_000, "v2": 0},
        "rules": [{"segments": ["*"], "weights_ppm": {"v2": 250_000}}],
    },
    {
        "fallback": "v1",
        "weights_ppm": {"v1": 1_000_000, "v2": 0, "v3": 0},
        "shadow_ppm": {"v2": 200_000, "v3": 100_000},
    },
]
SEGMENTS = ["", "internal", "beta", "eu"]

NAMED: list[dict[str, Any]] = [
    {"name": "staff", "when": [{"attribute": "email", "prefix": "qa-"}]},
    {
        "name": "new-app",
        "when": [
            {"attribute": "app", "version": {"from": "2.3.0", "below": "3.0.0"}},
            {"attribute": "country", "in": ["de", "fr"]},
        ],
    },
    {"name": "old-app", "when": [{"attribute": "app", "version": {"below": "2.3"}}]},
    {"name": "long", "when": [{"attribute": "tokens", "number": {"from": 8000}}]},
    {"name": "cold", "when": [{"attribute": "celsius", "number": {"from": -1e1, "below": 0}}]},
    {"name": "pro", "when": [{"attribute": "tier", "equals": "pro"}]},
    {"name": "seven", "when": [{"attribute": "answer", "equals": "7"}]},
    {"name": "yes", "when": [{"attribute": "answer", "equals": "true"}]},
]
ATTRIBUTES: list[tuple[dict[str, str | int | float | bool], str]] = [
    ({}, ""),
    ({"email": "qa-7@example.org", "tier": "pro"}, "staff"),
    ({"email": "QA-7@example.org", "tier": "pro"}, "pro"),
    ({"app": "2.3.0", "country": "de"}, "new-app"),
    ({"app": "2.10.1", "country": "fr"}, "new-app"),
    ({"app": "2.10.1", "country": "it"}, ""),
    ({"app": "2.10.1"}, ""),
    ({"app": "3.0.0", "country": "de"}, ""),
    ({"app": "3.0.0-rc.1", "country": "de"}, "new-app"),
    ({"app": "2.3.0-rc.1", "country": "de"}, "old-app"),
    ({"app": "2.3.0+build.9", "country": "de"}, "new-app"),
    ({"app": "2.3", "country": "de"}, "new-app"),
    ({"app": "1"}, "old-app"),
    ({"app": "v1.0.0"}, ""),
    ({"app": "01.0.0"}, ""),
    ({"app": 1}, ""),
    ({"app": "1.0.0-alpha.10"}, "old-app"),
    ({"tokens": 8000}, "long"),
    ({"tokens": 7999.5}, ""),
    ({"tokens": "8000"}, "long"),
    ({"tokens": "8e3"}, "long"),
    ({"tokens": " 8000"}, ""),
    ({"tokens": "08000"}, ""),
    ({"tokens": "0x2000"}, ""),
    ({"tokens": "1e999"}, ""),
    ({"tokens": True}, ""),
    ({"celsius": -10}, "cold"),
    ({"celsius": "-0.5"}, "cold"),
    ({"celsius": 0}, ""),
    ({"tier": "pro "}, ""),
    ({"tier": "pro", "tokens": 9000}, "long"),
    ({"answer": 7}, "seven"),
    ({"answer": "7"}, "seven"),
    ({"answer": True}, "yes"),
    ({"answer": "True"}, ""),
]
"""Attributes and the segment of `NAMED` that they have, by hand from the specification."""


def ranges(split: Split) -> list[list[Any]]:
    """Return ``[low, high, version]`` of each owned range."""
    edges = [0, *split.bounds, BUCKETS]
    return [[low, high, version] for low, high, version in zip(edges, edges[1:], split.versions, strict=False)]


def vectors() -> dict[str, Any]:
    """Return the whole document."""
    routes = []
    for route in ROUTES:
        record = {"service": "chat", "epoch": 1, "salt": "salt", "issued_at_ms": 0, "lease_ms": 30_000, **route}
        decoded = decode_route(json.dumps(record).encode())
        by_segment, default = splits_of(decoded)
        shadows = shadows_of(decoded)
        splits = {segment: ranges(by_segment.get(segment, default)) for segment in SEGMENTS}
        choices = [
            {
                "unit": unit,
                "segment": segment,
                "version": by_segment.get(segment, default).version_of(bucket_of("salt", unit)),
            }
            for segment in SEGMENTS
            for unit in [f"user-{number}" for number in range(8)]
        ]
        copied = {} if shadows is None else {"shadow_ranges": ranges(shadows)}
        routes.append({**route, "salt": "salt", "ranges_by_segment": splits, **copied, "choices": choices})
    buckets = [{"salt": salt, "unit": unit, "bucket": bucket_of(salt, unit)} for salt, unit in UNITS]
    named = [{"attributes": attributes, "segment": segment} for attributes, segment in ATTRIBUTES]
    return {
        "specification": "docs/splitting.md",
        "version": 2,
        "buckets": buckets,
        "routes": routes,
        "named_segments": NAMED,
        "named": named,
    }


def main() -> int:
    """Write the file, or compare it; return the exit status."""
    text = json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n"
    if "--check" in sys.argv[1:]:
        return 0 if PATH.read_text(encoding="utf-8") == text else 1
    PATH.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
