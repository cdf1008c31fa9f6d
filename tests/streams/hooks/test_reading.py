"""From a record to what is told: whoever can write to the topic can end nobody and say nothing twice."""

from __future__ import annotations

import time

from schemas.decision import Action, Refusal, encode_record
from schemas.hook import HOOKS_MAX, Hook
from streams.hooks.metrics import HookMetrics
from streams.hooks.reading import Reading
from streams.settings import Settings
from tests.streams.hooks.decided import decided

PAGE = Hook(("hold", "rollback"), command="page")
PLACE = (3, 17)


class Read:
    """A reader for which one command is allowed."""

    def __init__(self) -> None:
        self._metrics = HookMetrics()
        self.reading = Reading(Settings(hooks_commands={"page": ["/bin/page"]}), self._metrics)

    def count(self, outcome: str, name: str = "decision") -> float | None:
        labels = {"format": name, "outcome": outcome}
        return self._metrics.registry.get_sample_value("serinus_hooks_total", labels)


def test_each_allowed_hook_is_a_delivery() -> None:
    """With a key of its own, the record's place and a time at which it is given up."""
    read, now_s = Read(), time.monotonic()
    decision = decided(
        Action.HOLD, PAGE, Hook(("hold",), command="none"), Hook(("hold",), command="page", format="slack")
    )
    first, second = read.reading.deliveries(encode_record(decision), PLACE)
    assert (first.key, second.key) == (f"{decision.release_id}/7/0", f"{decision.release_id}/7/2")
    assert (first.place, first.lane, first.lane) == (PLACE, second.lane, "command page")
    assert 3_600 <= first.until_s - now_s < 3_700
    assert read.count("refused") == 1


def test_a_record_that_comes_again_is_told_once_until_all_is_forgotten() -> None:
    """A worker's repetition is no second decision; after the partitions were given back everything is begun anew."""
    read, raw = Read(), encode_record(decided(Action.HOLD, PAGE))
    assert [len(read.reading.deliveries(raw, PLACE)) for _ in range(3)] == [1, 0, 0]
    read.reading.forget()
    assert len(read.reading.deliveries(raw, PLACE)) == 1


def test_what_is_no_decision_or_names_nobody_is_nothing() -> None:
    """Rubbish, refusals, and decisions without hooks."""
    read = Read()
    for raw in (b"", b"{}", b"\xff", encode_record(Refusal("chat", "c", 1, "ann", "no")), encode_record(decided())):
        assert read.reading.deliveries(raw, PLACE) == []


def test_what_is_old_is_told_to_nobody() -> None:
    """By the setting, and counted."""
    read, now_ms = Read(), time.time_ns() // 1_000_000
    for epoch, age_ms in enumerate((86_000_000, 87_000_000)):
        raw = encode_record(decided(Action.HOLD, PAGE, epoch=epoch, at_ms=now_ms - age_ms))
        assert len(read.reading.deliveries(raw, PLACE)) == (epoch == 0)
    assert read.count("too_old") == 1


def test_what_cannot_be_said_is_refused_and_the_rest_is_told() -> None:
    """A forged time beyond the calendar; and more hooks than a plan may have."""
    read = Read()
    hooks = (Hook(("hold",), command="page", format="alertmanager"), PAGE)
    told = read.reading.deliveries(encode_record(decided(Action.HOLD, *hooks, at_ms=2**60)), PLACE)
    assert [one.format for one in told] == ["decision"]
    assert read.count("refused", "alertmanager") == 1
    many = encode_record(decided(Action.HOLD, *[PAGE] * (HOOKS_MAX + 5)))
    assert len(read.reading.deliveries(many, PLACE)) == HOOKS_MAX
