"""The online Gaussian with a season: against an oracle, what it does not know, and days that a plain one alarms on."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.arrays import Floats
from detectors.debouncing import Debounce
from detectors.gaussian.online import OnlineGaussian
from detectors.gaussian.seasonal import SeasonalGaussian, SeasonalState, Timed

MINUTE_MS = 60_000
DAY_MS = 1_440 * MINUTE_MS


def learned(observer: SeasonalGaussian, values: list[Timed]) -> SeasonalState:
    state = observer.start()
    for x in values:
        state = observer.learn(state, x)
    return state


def weighted(values: Floats, forgetting: float) -> tuple[float, float]:
    """Mean and variance of the past by explicit weights: the i-th value has a_i times all later 1 - a_j."""
    steps = np.maximum(forgetting, 1 / np.arange(1, values.size + 1))
    weights = steps * np.append(np.cumprod((1 - steps)[:0:-1])[::-1], 1.0)
    mean = float((weights * values).sum())
    return mean, float((weights * (values - mean) ** 2).sum())


def test_each_phase_is_scored_as_by_an_independent_computation() -> None:
    """z of every value equals numpy's weighted mean and variance of its phase alone; unknown exactly where a phase has
    too few values or too few earlier seasons. Times have gaps, and seasons begin in the middle."""
    rng = np.random.default_rng(11)
    observer = SeasonalGaussian(period_ms=700, phases=3, forgetting=0.05, warm_up=12, seasons=2)
    state, past, spoken = observer.start(), dict[int, list[tuple[int, float]]](), 0
    for at_ms in np.cumsum(rng.integers(5, 60, 600)).tolist():
        phase, season = int((at_ms % 700) / (700 / 3)), at_ms // 700
        x = float(rng.normal(100.0 * phase, 5.0 + phase))
        said = observer.score(state, Timed(at_ms, x))
        before = past.setdefault(phase, [])
        earlier = {of for of, _ in before} - {season}
        if len(before) >= 12 and len(earlier) >= 2:
            mean, variance = weighted(np.array([value for _, value in before]), 0.05)
            assert said.z == pytest.approx((x - mean) / np.sqrt(variance), rel=1e-9)
            assert said.unusual is (abs(said.z or 0.0) > 3.0)
            spoken += 1
        else:
            assert (said.z, said.unusual, said.alarm) == (None, None, None)
        before.append((season, x))
        state = observer.learn(state, Timed(at_ms, x))
    assert spoken > 450


def test_a_phase_of_this_season_alone_is_unknown() -> None:
    """However many values it has, a phase that was not seen in earlier seasons says nothing, also beside known ones."""
    observer = SeasonalGaussian(period_ms=1_000, phases=2, warm_up=2, seasons=1)
    state = learned(observer, [Timed(at_ms, 5.0 + at_ms % 3) for at_ms in range(0, 500, 5)])
    assert observer.usual(state, 400) is None and observer.score(state, Timed(499, 99.0)).unusual is None
    assert observer.usual(state, 1_400) is not None and observer.score(state, Timed(1_499, 99.0)).unusual is True
    assert observer.score(state, Timed(1_500, 99.0)).unusual is None


def day(rng: np.random.Generator, minute: int, *, harm: float = 0.0) -> float:
    """Latency in a minute: a smooth day, a nightly job of 40 minutes that adds half as much again, and noise."""
    of_day = minute % 1_440
    smooth = 180.0 + 20.0 * np.sin(2 * np.pi * of_day / 1_440)
    return float(smooth + 90.0 * (120 <= of_day < 160) + harm + rng.normal(0.0, 4.0))


def test_a_daily_rhythm_alarms_the_plain_observer_and_not_the_seasonal_one() -> None:
    """Six days of one value a minute. The plain observer alarms on every day but the first hours, at the edges of the
    nightly job. The seasonal one is silent for two days, since it knows nothing, and then since all is as usual. On the
    seventh day latency is 30 ms higher from noon on: both see that, within five minutes."""
    rng = np.random.default_rng(12)
    plain, seasonal = OnlineGaussian(forgetting=0.02), SeasonalGaussian(period_ms=DAY_MS, forgetting=1 / 45)
    known, state = plain.start(), seasonal.start()
    alarms: dict[str, list[int]] = {"plain": [], "seasonal": []}
    unknown = 0
    for minute in range(7 * 1_440):
        x = day(rng, minute, harm=30.0 if minute >= 6 * 1_440 + 720 else 0.0)
        timed = Timed(minute * MINUTE_MS, x)
        for name, said in (("plain", plain.score(known, x)), ("seasonal", seasonal.score(state, timed))):
            if said.alarm:
                alarms[name].append(minute)
            unknown += name == "seasonal" and said.alarm is None
        known, state = plain.learn(known, x), seasonal.learn(state, timed)
    noon = 6 * 1_440 + 720
    assert {minute // 1_440 for minute in alarms["plain"] if minute < noon} == set(range(7))
    assert unknown == 2 * 1_440
    assert [minute for minute in alarms["seasonal"] if minute < noon] == []
    for found in alarms.values():
        assert min(minute for minute in found if minute >= noon) < noon + 5


def test_a_harm_that_creeps_in_is_seen_by_its_season_alone() -> None:
    """40 ms more over six hours: the plain observer's memory of an hour follows it, the same time of earlier days
    does not (alarms in 0 and 56 of 360 minutes)."""
    rng = np.random.default_rng(13)
    plain, seasonal = OnlineGaussian(forgetting=0.02), SeasonalGaussian(period_ms=DAY_MS, forgetting=1 / 45)
    known, state = plain.start(), seasonal.start()
    start, seen = 4 * 1_440 + 600, {"plain": 0, "seasonal": 0}
    for minute in range(start + 360):
        x = day(rng, minute, harm=40.0 * max(0, minute - start) / 360)
        timed = Timed(minute * MINUTE_MS, x)
        if minute >= start:
            seen["plain"] += bool(plain.score(known, x).alarm)
            seen["seasonal"] += bool(seasonal.score(state, timed).alarm)
        known, state = plain.learn(known, x), seasonal.learn(state, timed)
    assert seen["plain"] == 0 and seen["seasonal"] > 30


@pytest.mark.parametrize(
    "wrong",
    [
        {"period_ms": 0}, {"phases": 1}, {"phases": 673}, {"forgetting": 0.0}, {"forgetting": 1.0}, {"sigmas": 0.0},
        {"warm_up": 1}, {"seasons": 0},
    ],
)  # fmt: skip
def test_wrong_parameters_are_refused(wrong: dict[str, float]) -> None:
    """Each parameter outside its domain names itself."""
    with pytest.raises(ValueError, match="|".join(wrong)):
        SeasonalGaussian(**{"period_ms": DAY_MS} | wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_an_alarm_needs_enough_of_the_last_values() -> None:
    """Two of the last three, across the border of two phases."""
    observer = SeasonalGaussian(
        period_ms=100, phases=2, warm_up=4, seasons=1, debounce=Debounce(fires=2, of_last=3), forgetting=0.001
    )
    state = learned(observer, [Timed(at_ms, float(at_ms % 20)) for at_ms in range(0, 1_000, 5)])
    alarms = []
    for at_ms, x in ((1_040, 99.0), (1_045, 5.0), (1_050, 99.0), (1_055, 5.0), (1_060, 5.0)):
        alarms.append(observer.score(state, Timed(at_ms, x)).alarm)
        state = observer.learn(state, Timed(at_ms, x))
    assert alarms == [False, False, True, False, False]
