"""The online Gaussian: warm-up, limits, debouncing."""

from __future__ import annotations

import pytest

from detectors.gaussian.online import OnlineGaussian, OnlineGaussianState


def learned(observer: OnlineGaussian, values: list[float]) -> OnlineGaussianState:
    state = observer.start()
    for x in values:
        state = observer.learn(state, x)
    return state


NOISE = [9.0, 11.0] * 20


def test_not_warm_is_unknown() -> None:
    """Before the warm-up nothing is normal and nothing unusual; with its last value an opinion begins."""
    observer = OnlineGaussian(warm_up=10)
    early = observer.score(learned(observer, NOISE[:9]), 1000.0)
    assert (early.z, early.unusual, early.alarm) == (None, None, None)
    assert observer.score(learned(observer, NOISE[:10]), 1000.0).unusual is True


@pytest.mark.parametrize("forgetting", [None, 0.05])
def test_the_limit_is_three_sigmas_either_way(forgetting: float | None) -> None:
    """Values within three standard deviations are usual, beyond them unusual, above and below."""
    observer = OnlineGaussian(forgetting=forgetting)
    state = learned(observer, NOISE)
    sd = state.variance**0.5
    for sign in (-1.0, 1.0):
        assert observer.score(state, state.mean + sign * 2.9 * sd).unusual is False
        assert observer.score(state, state.mean + sign * 3.1 * sd).unusual is True


def test_an_alarm_needs_enough_of_the_last_values() -> None:
    """Three of the last five: one or two strange values do not alarm, the third does, and calm ends it.

    ::

        values  . . . X . X . X . . . .
        alarm   - - - - - - - A - - - -
    """
    observer = OnlineGaussian(fires=3, of_last=5, warm_up=40)
    state = learned(observer, NOISE)
    alarms = []
    for x in (10.0, 10.0, 10.0, 1.0, 10.0, -20.0, 10.0, -80.0, 10.0, 10.0, 10.0, 10.0):
        alarms.append(observer.score(state, x).alarm)
        state = observer.learn(state, x)
    assert [i for i, alarm in enumerate(alarms) if alarm] == [7]


def test_a_value_does_not_hide_itself() -> None:
    """The score of a value is that of the past without it; learned first, it would look less strange."""
    observer = OnlineGaussian()
    state = learned(observer, NOISE)
    before, after = observer.score(state, 20.0).z, observer.score(observer.learn(state, 20.0), 20.0).z
    assert before is not None
    assert after is not None
    assert before > after + 3


def test_leaving_a_constant_past_is_unusual() -> None:
    """Without spread there is no z, but another value is unusual and the same is not."""
    observer = OnlineGaussian()
    state = learned(observer, [5.0] * 40)
    assert (observer.score(state, 6.0).z, observer.score(state, 6.0).unusual) == (None, True)
    assert observer.score(state, 5.0).unusual is False


@pytest.mark.parametrize(
    "parameters",
    [{"forgetting": 0.0}, {"forgetting": 1.0}, {"sigmas": 0.0}, {"warm_up": 1}, {"fires": 6}, {"of_last": 61}],
)
def test_wrong_parameters_are_refused(parameters: dict[str, float]) -> None:
    """Each parameter outside its domain names itself."""
    with pytest.raises(ValueError, match="|".join(parameters)):
        OnlineGaussian(**parameters)  # type: ignore[arg-type]  # wrong on purpose
