"""The packer: the vectors of the format, and events that must not be packed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import serinus
from schemas.packed import PACK_BYTES_MAX, PACK_EVENTS_MAX, PACK_NAMES_MAX, PACK_PREFIX, decode_pack
from serinus.event import Emitted, EventEncoder
from serinus.packer import MAX_BYTES, MAX_EVENTS, MAX_NAMES, PREFIX, NotPackableError, Packer

TESTDATA = Path(serinus.__file__).parent.parent / "testdata"
VECTORS: dict[str, Any] = json.loads((TESTDATA / "packed_vectors.json").read_text(encoding="utf-8"))
PLAIN = Emitted("v2", 1_000, "request", False, 12.5, {"tokens": 3.0}, {"finish": "stop"}, "eu", None, None, None)
PACKER = Packer("chat", EventEncoder("chat").hash_unit)


@pytest.mark.parametrize(
    "vector", [one for one in VECTORS["good"] if "emitted" in one], ids=lambda one: str(one["name"])
)
def test_the_vectors_are_written(vector: dict[str, Any]) -> None:
    """What the client emits is packed into the very bytes of the vector."""
    assert PACKER.pack([Emitted(**event) for event in vector["emitted"]]).hex() == vector["record"]


def test_both_sides_have_the_same_limits() -> None:
    """The client imports nothing of the pipeline, so its limits are numbers of its own."""
    ours = (PREFIX, MAX_EVENTS, MAX_NAMES, MAX_BYTES)
    assert ours == (PACK_PREFIX, PACK_EVENTS_MAX, PACK_NAMES_MAX, PACK_BYTES_MAX)


@pytest.mark.parametrize(
    "change",
    [
        {"version": ""}, {"version": None}, {"version": "v" * 257}, {"version": ["v1"]}, {"version": "\ud800"},
        {"ts_ms": 1.5}, {"ts_ms": -1}, {"ts_ms": True}, {"ts_ms": 2**62}, {"ts_ms": None},
        {"kind": "reply"}, {"error": "yes"}, {"segment": None},
        {"latency_ms": -1.0}, {"latency_ms": float("nan")}, {"latency_ms": "12"}, {"latency_ms": np.float64(1.0)},
        {"values": {"x": float("inf")}}, {"values": {"x": True}}, {"values": {"x": None}}, {"values": {"x": 10**400}},
        {"values": {"": 1.0}}, {"values": {1: 1.0}}, {"values": [1.0]}, {"values": {str(at): 1 for at in range(257)}},
        {"labels": {"x": 1}}, {"labels": {"": "x"}}, {"labels": {"x": "y" * 257}},
        {"epoch": -1}, {"epoch": 1.0}, {"bucket": "7"},
    ],
)  # fmt: skip
def test_what_is_not_plain_is_not_packed(change: dict[str, Any]) -> None:
    """One odd argument among good events, and the packer leaves all of them to those who look at each."""
    PACKER.pack([PLAIN, PLAIN])
    with pytest.raises(NotPackableError):
        PACKER.pack([PLAIN, PLAIN._replace(**change), PLAIN])


def test_limits_are_not_passed() -> None:
    """Too many events, names or bytes are said, and not written."""
    with pytest.raises(NotPackableError, match="events"):
        PACKER.pack([PLAIN] * (MAX_EVENTS + 1))
    with pytest.raises(NotPackableError, match="names"):
        PACKER.pack([PLAIN._replace(version=f"v{at}") for at in range(MAX_NAMES + 1)])
    with pytest.raises(NotPackableError, match="bytes"):
        PACKER.pack([PLAIN._replace(labels={f"{at}": f"{of:0200}" for at in range(20)}) for of in range(100)])


def test_a_pack_is_small() -> None:
    """Two hundred events of a usual service take at most 19 bytes each."""
    rng = np.random.default_rng(1)
    events = [
        PLAIN._replace(
            latency_ms=float(rng.lognormal(5, 0.5)), version=f"v{at % 2}", segment=f"s{at % 4}", ts_ms=1_000 + at
        )
        for at in range(200)
    ]
    raw = PACKER.pack(events)
    assert len(raw) <= 19 * 200
    pack = decode_pack(raw)
    assert (pack.n, len(pack.versions), len(pack.segments)) == (200, 2, 4)
    assert set(msgspec.msgpack.decode(raw[4:])) <= set(pack.__struct_fields__)
