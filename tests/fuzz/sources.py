"""Fuzzed records of each topic that some process reads: drawn from its JSON Schema, broken step by step, or just bytes.

Packed events, reports and the worker's own table have samples that the real code has written, since little of what a
schema allows of them fits together.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from schemas.basis import Basis, Coordinate, encode_basis
from schemas.command import Command, Verb, encode_command
from schemas.decision import Action, State
from schemas.inputs import encode_input
from schemas.packed import PACK_PREFIX
from schemas.plan import parse_plan
from schemas.route import Route, encode_route
from schemas.rule import Rule
from streams.ingest.aggregate import aggregate
from streams.ingest.records import Records
from streams.topics import DECISIONS
from tests.fuzz.from_schema import FromSchema
from tests.fuzz.mutations import mutated, scrambled
from tests.streams.worker.inputs_log import START_MS, random_log
from tests.streams.worker.lifetimes import Lifetime
from tests.streams.worker.memory_broker import MemoryBroker

PLANS = Path(__file__).resolve().parents[2] / "examples" / "plans"
VECTORS = Path(__file__).resolve().parents[2] / "clients" / "python" / "testdata" / "packed_vectors.json"

HOOK_FORMATS = ("decision", "slack", "alertmanager", "retrain")

Encode = Callable[[Any], bytes]

_SAMPLES = _EVENTS = 400
_REAL = 0.8
_RAW, _SCRAMBLED, _SOUND = 0.05, 0.25, 0.45
"""Parts of all records: any bytes; a good one with its bytes scrambled; a good one. The rest has its tree changed."""


class Source:
    """Records of one kind.

    Parameters
    ----------
    sample : draws one good record, as a tree.
    encode : a tree as bytes; may refuse some with an exception.
    """

    def __init__(self, draw: Random, sample: Callable[[], Any], encode: Encode) -> None:
        self._draw, self._encode = draw, encode
        self._trees = [sample() for _ in range(_SAMPLES)]
        self._good = [encode(tree) for tree in self._trees]

    def record(self) -> bytes | None:
        """The next one; None is a tombstone."""
        draw, at = self._draw, self._draw.randrange(_SAMPLES)
        kind = draw.random()
        if kind < _RAW:
            return None if draw.random() < 0.05 else draw.randbytes(draw.choice((0, 1, 3, 20, 200)))
        if kind < _SCRAMBLED:
            return scrambled(self._good[at], draw)
        if kind < _SOUND:
            return self._good[at]
        tree = self._trees[at]
        for _ in range(draw.choice((1, 1, 2, 4))):
            tree = mutated(tree, draw)
        try:
            return self._encode(tree)
        except (OverflowError, RecursionError, ValueError, TypeError):
            # What its format cannot say.
            return scrambled(self._good[at], draw)


def as_json(tree: Any) -> bytes:
    """JSON, with the bytes of a tree as text and lone surrogates as escapes; NaN and Infinity as Python writes them."""
    return json.dumps(tree, default=lambda one: one.decode("latin-1")).encode()


def _mixed(draw: Random, real: list[Any], names: tuple[str, ...], encode: Encode) -> Source:
    """Real records, and now and then what a document in `docs/schemas` allows."""
    times_ms = tuple(START_MS + 250 * at for at in range(20))
    made = [FromSchema(name, draw, times_ms) for name in names]
    return Source(draw, lambda: draw.choice(real if draw.random() < _REAL else [draw.choice(made).value()]), encode)


def events(draw: Random) -> Source:
    """Events in JSON."""
    return _mixed(draw, _events(draw), ("event",), as_json)


def commands(draw: Random) -> Source:
    """Every verb, and the plans of the examples."""
    plans = [parse_plan(path.read_text(), file=path.name) for path in sorted(PLANS.glob("*.yaml"))]
    real = [
        Command(f"c{at}", plan.service, Verb.START, "ann", "fuzzed", START_MS, plan=plan)
        for at, plan in enumerate(plans)
    ]
    for at, verb in enumerate(verb for verb in Verb if verb is not Verb.START):
        for plan in plans[:2]:
            weight: dict[str, Any] = {}
            if verb is Verb.SET_WEIGHT:
                weight = {"version": plan.canaries[0], "weight_ppm": 50_000}
            real.append(Command(f"v{at}", plan.service, verb, "ann", "fuzzed", START_MS, **weight))
    return _mixed(draw, [json.loads(encode_command(one)) for one in real], ("command",), as_json)


def routes(draw: Random) -> Source:
    """Routes as the worker publishes them, of growing epochs."""
    rule = Rule(("eu", "us"), {"v2": 10_000})
    real = [
        Route("chat", "r1", epoch, State.RAMPING, {"v1": 900_000, "v2": 100_000}, "v1", "salt", START_MS + epoch,
              rules=(rule,) * (epoch % 3))
        for epoch in range(100)
    ]  # fmt: skip
    return _mixed(draw, [json.loads(encode_route(one)) for one in real], ("route",), as_json)


def bases(draw: Random) -> Source:
    """Bases of joint gates."""
    one = (Coordinate("latency_ms", "log", 5.2, 0.5), Coordinate("values.score", "raw", 0.8, 0.1))
    real = [Basis(f"s{at}", "r1", START_MS + at, one * (1 + at % 3)) for at in range(300)]
    return _mixed(draw, [json.loads(encode_basis(one)) for one in real], ("basis",), as_json)


def decisions(draw: Random) -> Source:
    """The audit of a release, and what its schemas allow."""
    real = [json.loads(sent.value) for sent in _worker().sent if sent.topic == DECISIONS and sent.value is not None]
    when = [action.value for action in Action]
    webhooks = ("https://hooks.example/a", "http://[::1]:9093/api/v2/alerts", "chat")
    hooks = [{"when": when, "webhook": draw.choice(webhooks), "format": name} for name in HOOK_FORMATS]
    hooks += [{"when": when, "command": "page"}, {"when": when, "webhook": "http://h/../x"}]
    # Now: what is old is not put into words.
    real += [one | {"hooks": hooks, "at_ms": 2**42} for one in real if one["type"] == "decision"]
    return _mixed(draw, real, ("decision", "refusal"), as_json)


def stored(draw: Random) -> Source:
    """What a worker has stored: services with a release and its evidence, windows, cursors."""
    trees = [msgspec.msgpack.decode(raw) for raw in _worker().table.values()]
    return Source(draw, lambda: draw.choice(trees), msgspec.msgpack.encode)


def _worker() -> MemoryBroker:
    """The broker of a worker that has lived a while."""
    broker = MemoryBroker()
    worker = Lifetime(broker, random_log(7, steps=300))
    worker.read()
    worker.stop()
    return broker


def packs(draw: Random) -> Source:
    """Packed events, from the test vectors of the format."""
    vectors = json.loads(VECTORS.read_text())["good"]
    trees = [msgspec.msgpack.decode(bytes.fromhex(one["record"])[len(PACK_PREFIX) :]) for one in vectors]
    return Source(draw, lambda: draw.choice(trees), lambda tree: PACK_PREFIX + msgspec.msgpack.encode(tree))


def inputs(draw: Random) -> Source:
    """Reports, ticks and commands: those of ingest, those of a worker's tests, and those of the schemas."""
    written = [encode_input(record) for record, _ in random_log(draw.randrange(1000), steps=200)]
    written += [encode_input(report) for report in _reports(draw)]
    trees = [msgspec.msgpack.decode(raw) for raw in written]
    made = [FromSchema(name, draw, tuple(range(20))) for name in ("report", "forwarded")]
    return Source(
        draw,
        lambda: draw.choice(trees) if draw.random() < 0.8 else draw.choice(made).value(),
        msgspec.msgpack.encode,
    )


def _reports(draw: Random) -> list[Any]:
    """What ingest says of these events."""
    records = Records.of([as_json(event) for event in _events(draw)], [START_MS + 10 * at for at in range(_EVENTS)])
    return [report for slices in aggregate([records]) for report in slices]


def _events(draw: Random) -> list[Any]:
    """Events with everything: units, labels, values, feedback."""
    return [
        {
            "service": draw.choice(("chat", "code")),
            "version": draw.choice(("v1", "v2")),
            "segment": draw.choice(("eu", "us", "")),
            "ts_ms": START_MS + 10 * at - draw.choice((0, 20_000)),
            "kind": draw.choice(("request", "request", "feedback")),
            "error": draw.random() < 0.1,
            "latency_ms": draw.lognormvariate(3, 1),
            "values": {"tokens_out": draw.randrange(1000), "score": draw.gauss(0, 1)},
            "labels": {"finish_reason": draw.choice(("stop", "length"))},
            "unit": f"{draw.randrange(2**64):016x}",
            "epoch": draw.randrange(3),
            "bucket": draw.randrange(1_000_000),
        }
        for at in range(_EVENTS)
    ]
