from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest

import serinus
from streams.demo.model import Behaviour, answer
from streams.demo.service import CASTS, Service
from streams.demo.trace import Trace

TRACE = Trace(np.array([0.0, 10.0, 20.0]), np.array([5, 600, 7]))


def served(weights_ppm: dict[str, int], seconds: list[float]) -> tuple[Service, list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    router = serinus.Router.static(weights_ppm, fallback="v1", salt="s")
    service = Service(
        CASTS[0], TRACE, speed=10.0, router=router, emit=lambda **event: events.append(event), rng=Random(1)
    )
    for now_s in seconds:
        service.serve(now_s)
    return service, events


def test_arrivals_are_compressed_and_begin_again() -> None:
    """Each recorded arrival is served once, when it is due; the hour starts over after its last one."""
    for until_s, due in ((0.0, 1), (0.99, 1), (1.0, 2), (1.99, 2), (2.0, 4), (3.0, 5), (4.0, 7)):
        service, events = served({"v1": 1_000_000}, [until_s])
        assert service.tally.total == len(events) == due, until_s
    assert served({"v1": 1_000_000}, [0.0, 0.5, 1.0, 1.5, 2.0])[0].tally.total == 4


def test_an_event_says_what_was_answered_and_how_it_was_routed() -> None:
    """The event carries the version that answered, the recorded tokens, and the router's epoch and bucket."""
    _, events = served({"v1": 0, "v2": 1_000_000}, [1.5])
    assert [event["version"] for event in events] == ["v2", "v2"]
    assert [event["values"] for event in events] == [{"tokens_out": 5.0}, {"tokens_out": 600.0}]
    assert [event["labels"]["finish_reason"] for event in events] == ["stop", "length"]
    assert all(event["epoch"] == 0 and 0 <= event["bucket"] < 1_000_000 for event in events)


def test_one_user_is_always_in_one_segment() -> None:
    """A user never changes the region, and both regions have users."""
    _, events = served({"v1": 1_000_000}, [4000.0])
    regions: dict[str, set[str]] = {}
    for event in events:
        regions.setdefault(event["unit"], set()).add(event["segment"])
    assert all(len(found) == 1 for found in regions.values())
    assert set.union(*regions.values()) == {"eu", "us"}


def test_the_bad_canary_is_as_bad_as_the_demo_says() -> None:
    """Errors 1 % → 4 % and latency +20 %; the good canary behaves like its baseline."""
    rng = Random(7)
    made = {name: [answer(rng, 200, behaviour) for _ in range(40_000)] for name, behaviour in CASTS[0].versions.items()}
    errors = {name: np.mean([one.error for one in answers]) for name, answers in made.items()}
    latency_ms = {name: np.mean([one.latency_ms for one in answers]) for name, answers in made.items()}
    assert errors["v1"] == pytest.approx(0.01, abs=0.002)
    assert errors["v2"] == pytest.approx(0.04, abs=0.004)
    assert latency_ms["v2"] / latency_ms["v1"] == pytest.approx(1.2, abs=0.01)
    assert CASTS[1].versions["v1"] == CASTS[1].versions["v2"] == Behaviour()
