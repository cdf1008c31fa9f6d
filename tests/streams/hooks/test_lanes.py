"""Lanes: order for each target, no target waits for another, every delivery ends exactly once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from streams.hooks import lanes as lanes_module
from streams.hooks.delivery import Delivery, Failure
from streams.hooks.lanes import WAITING_MAX, Lanes, Outcome, pause_s
from streams.hooks.targets import Webhook

Answer = Callable[[Delivery], Failure | None]


class Recorded:
    """Lanes whose target is a function; what it was asked and how deliveries ended."""

    def __init__(self, answer: Callable[[Delivery], Awaitable[Failure | None]]) -> None:
        self.tries: list[str] = []
        self.ends: list[tuple[str, Outcome]] = []
        self.crashes: list[BaseException] = []
        self._answer, self._changed = answer, asyncio.Event()
        self.lanes = Lanes(self._attempt, ended=self._end, tried=lambda _: None, crashed=self.crashes.append)

    async def _attempt(self, delivery: Delivery) -> Failure | None:
        self.tries.append(delivery.key)
        return await self._answer(delivery)

    def _end(self, delivery: Delivery, outcome: Outcome) -> None:
        self.ends.append((delivery.key, outcome))
        self._changed.set()

    async def ended(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.ends) < count:
                self._changed.clear()
                await self._changed.wait()


def delivery(key: str, target: str = "a", *, for_s: float = 60.0) -> Delivery:
    url = f"http://{target}/"
    return Delivery(key, Webhook(url, url), "decision", "hold", b"{}", key, (0, 0), time.monotonic() + for_s)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_module, "PAUSE_S", 0.01)
    monkeypatch.setattr(lanes_module, "PAUSE_S_MAX", 0.02)


def test_order_is_kept_through_failures() -> None:
    """The second waits until the first has worked, however often that fails."""

    async def play() -> Recorded:
        left = {"1": 3, "2": 1}

        async def answer(one: Delivery) -> Failure | None:
            left[one.key] = left.get(one.key, 0) - 1
            return Failure("broken") if left[one.key] >= 0 else None

        seen = Recorded(answer)
        for key in ("1", "2", "3"):
            seen.lanes.send(delivery(key))
        await seen.ended(3)
        return seen

    seen = asyncio.run(play())
    assert seen.tries == ["1", "1", "1", "1", "2", "2", "3"]
    assert seen.ends == [(key, Outcome.DELIVERED) for key in ("1", "2", "3")]


def test_a_target_that_hangs_delays_no_other() -> None:
    """A hundred deliveries to ten targets end while one target never answers."""

    async def play() -> Recorded:
        async def answer(one: Delivery) -> Failure | None:
            if one.lane == "http://dead/":
                await asyncio.sleep(3600)
            return None

        seen = Recorded(answer)
        for number in range(100):
            seen.lanes.send(delivery(f"dead {number}", "dead"))
            seen.lanes.send(delivery(str(number), f"t{number % 10}"))
        await seen.ended(100)
        await seen.lanes.drop()
        return seen

    seen = asyncio.run(play())
    assert {key for key, _ in seen.ends} == {str(number) for number in range(100)}
    assert [key for key in seen.tries if key.startswith("dead")] == ["dead 0"]


def test_what_cannot_help_is_not_tried_again_and_what_can_only_so_long() -> None:
    """An answer for good gives up at once; a failing target after its time; a delivery gets one try at least."""

    async def play() -> Recorded:
        async def answer(one: Delivery) -> Failure | None:
            return Failure("no", again=not one.key.startswith("never"))

        seen = Recorded(answer)
        seen.lanes.send(delivery("never"))
        seen.lanes.send(delivery("long", for_s=0.3))
        seen.lanes.send(delivery("late", for_s=-1.0))
        await seen.ended(3)
        return seen

    seen = asyncio.run(play())
    assert seen.ends == [(key, Outcome.GIVEN_UP) for key in ("never", "long", "late")]
    assert (seen.tries.count("never"), seen.tries.count("late")) == (1, 1)
    assert seen.tries.count("long") > 2


def test_a_target_can_ask_for_a_pause() -> None:
    """`Retry-After` is longer than our own pause, and is kept."""

    async def play() -> float:
        times: list[float] = []

        async def answer(_: Delivery) -> Failure | None:
            times.append(time.monotonic())
            return Failure("busy", after_s=0.5) if len(times) == 1 else None

        seen = Recorded(answer)
        seen.lanes.send(delivery("1"))
        await seen.ended(1)
        return times[1] - times[0]

    assert asyncio.run(play()) >= 0.5


def test_too_many_for_one_target_give_up_the_oldest_that_waits() -> None:
    """Memory is bounded, and who comes back hears the newest. The one under way is not taken away."""

    async def play() -> Recorded:
        release = asyncio.Event()

        async def answer(_: Delivery) -> Failure | None:
            await release.wait()
            return None

        seen = Recorded(answer)
        for number in range(WAITING_MAX + 3):
            seen.lanes.send(delivery(str(number)))
            await asyncio.sleep(0)
        release.set()
        await seen.ended(WAITING_MAX + 3)
        return seen

    seen = asyncio.run(play())
    assert seen.ends[:3] == [(str(number), Outcome.GIVEN_UP) for number in (1, 2, 3)]
    assert seen.ends[3] == ("0", Outcome.DELIVERED)
    assert len({key for key, _ in seen.ends}) == len(seen.ends) == WAITING_MAX + 3


def test_what_is_dropped_is_not_told_as_ended() -> None:
    """Whoever takes over begins it again; a lane can be used afterwards."""

    async def play() -> Recorded:
        async def answer(one: Delivery) -> Failure | None:
            if one.key == "1":
                await asyncio.sleep(3600)
            return None

        seen = Recorded(answer)
        seen.lanes.send(delivery("1"))
        seen.lanes.send(delivery("2"))
        await asyncio.sleep(0.02)
        await seen.lanes.drop()
        seen.lanes.send(delivery("3"))
        await seen.ended(1)
        return seen

    seen = asyncio.run(play())
    assert seen.ends == [("3", Outcome.DELIVERED)]
    assert seen.crashes == []


def test_an_error_of_ours_is_told() -> None:
    """A lane that dies in silence would hold its target's deliveries, and the commits behind them, for ever."""

    async def play() -> Recorded:
        async def answer(_: Delivery) -> Failure | None:
            raise KeyError("ours")

        seen = Recorded(answer)
        seen.lanes.send(delivery("1"))
        await asyncio.sleep(0.05)
        return seen

    seen = asyncio.run(play())
    assert [type(error) for error in seen.crashes] == [KeyError]


def test_pauses_grow_and_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """From half a second to a minute, and never less than half of that."""
    monkeypatch.setattr(lanes_module, "PAUSE_S", 0.5)
    monkeypatch.setattr(lanes_module, "PAUSE_S_MAX", 60.0)
    assert [pause_s(failures, 0.0) for failures in (1, 2, 3, 7, 8, 10_000)] == [0.5, 1.0, 2.0, 32.0, 60.0, 60.0]
    assert pause_s(8, 1.0) == 30.0
