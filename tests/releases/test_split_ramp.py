"""Many whole ramps: how often a healthy split is called broken, and how many users it takes to find one that is.

`pytest -s tests/releases/test_split_ramp.py` prints the figures of `docs/statistics.md`.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from detectors.arrays import Floats, Ints
from detectors.sequential.misplaced import log_misplaced
from detectors.sequential.sample_ratio import ALPHA, SampleRatio
from detectors.split_batches import SplitBatch
from releases.ramps.ramp import stages_of
from releases.split_check import UNITS_KEPT, follow, see, start_split
from releases.split_evidence import split_evidence
from schemas.plan import parse_plan
from schemas.units import PPM
from tests.releases.test_split_check import PLAN, Crowd, route_of

RELEASES = 1_000
TEN_STEPS = parse_plan(PLAN.replace("{kind: stages", "{kind: linear, from: 1%, to: 50%, over: 10s} # {"))
SHARES = [stage.weight_ppm / PPM for stage in stages_of(TEN_STEPS.ramp)]
LIMIT = float(np.log(2 / ALPHA))
ONE = SampleRatio(("v2",))


def gains(share: float) -> tuple[Floats, Floats]:
    """What one user adds to the detector's log e-values: who stays on the baseline, and who meets the canary."""

    def of(k: float) -> Floats:
        batch = SplitBatch(np.ones(1), np.array([[k]]), np.array([[share]]))
        gain: Floats = ONE.observe(ONE.start(), batch).log_e[0]
        return gain

    return of(0.0), of(1.0)


elsewhere = np.frompyfunc(cache(log_misplaced), 2, 1)


def first_alarm(seed: int, shares: list[float], *, each: int, times: float, look: int, buckets: bool) -> Ints:
    """[RELEASES] users until a split is called broken, looked at every ``look`` of them; 0 when it never is.

    Parameters
    ----------
    shares : asked for, one after another, of ``each`` fresh users.
    times : the part of what is asked for that the routers send.
    buckets : events name the splitter's buckets; without them the share alone can tell.
    """
    rng = np.random.default_rng(seed)
    log_e = np.zeros((RELEASES, len(ONE.ratios)))
    owned, found = np.zeros(RELEASES, dtype=np.int64), np.zeros(RELEASES, dtype=np.int64)
    served, users = owned.copy(), 0
    for share in shares:
        stays, meets = gains(share)
        for _ in range(each // look):
            users += look
            mine = rng.binomial(look, share, RELEASES)
            k = rng.binomial(mine, times)
            owned, served = owned + mine, served + k
            log_e += np.outer(k, meets) + np.outer(look - k, stays)
            ratio = np.logaddexp.reduce(log_e, axis=1) - np.log(len(ONE.ratios))
            broken = (ratio >= LIMIT) & (served > 0)
            if buckets:
                broken |= elsewhere(owned - served, owned).astype(np.float64) >= LIMIT
            found[broken & (found == 0)] = users
            if found.all():
                return found
    return found


def users_who_came(counted: float) -> float:
    """How many users it takes to count as many: of more than UNITS_KEPT only half are looked at, and so on."""
    came, kept, part = 0.0, 0.0, 1.0
    while kept + counted > UNITS_KEPT:
        came, counted = came + (UNITS_KEPT - kept) / part, counted - (UNITS_KEPT - kept)
        kept, part = UNITS_KEPT / 2, part / 2
    return came + counted / part


@pytest.mark.parametrize("buckets", [False, True])
def test_a_healthy_ramp_in_ten_steps_raises_no_alarm(buckets: bool) -> None:
    """Of 1,000 releases from 1 to 50 % with 400 fresh users a step and 160 looks, one in a thousand may look broken.

    More than four would have a chance of 1 in 250; measured 0 with and 0 without buckets.
    """
    assert len(SHARES) == 10
    alarms = first_alarm(80, SHARES, each=400, times=1.0, look=25, buckets=buckets)
    print(f"{np.count_nonzero(alarms)} of {RELEASES:,} healthy ramps called broken, {buckets=}")
    assert np.count_nonzero(alarms) <= 4


FIGURES = {
    (0.01, True): (2_840, 6_444),
    (0.05, True): (560, 1_364),
    (0.2, True): (142, 319),
    (0.5, True): (58, 132),
    (0.01, False): (42_000, 80_000),
    (0.05, False): (8_000, 15_600),
    (0.2, False): (1_700, 3_200),
    (0.5, False): (440, 920),
}
"""By the share asked for, with buckets or not: median and 95th percentile of the users until 0.8 × of it is found."""


@pytest.mark.parametrize(("share", "buckets"), list(FIGURES))
def test_a_router_that_sends_less_is_found(share: float, buckets: bool) -> None:
    """0.8 × of what is asked for is found in every release; the docs' numbers of users stand here, within a tenth."""
    look = max(1, int((0.2 if buckets else 20) / share))
    found = first_alarm(81, [share], each=20_000 * look, times=0.8, look=look, buckets=buckets)
    assert found.all()
    shown = [float(np.percentile(found, q)) for q in (50, 95)]
    came = [round(users_who_came(n)) for n in shown]
    print(f"{share:.0%} {buckets=}: median and p95 {shown} users counted, of {came} who came")
    assert shown == pytest.approx(FIGURES[share, buckets], rel=0.1)


def test_a_ramp_that_loses_a_fifth_is_found_on_the_way() -> None:
    """The same ramp with routers that send 0.8 ×: with buckets before its third step, without them before its end."""
    for buckets, steps in ((True, 2), (False, 10)):
        found = first_alarm(82, SHARES, each=400, times=0.8, look=10, buckets=buckets)
        found[found == 0] = 10**9
        print(f"on the ramp, {buckets=}: {np.percentile(found, [50, 95])}")
        assert np.median(found) <= 400 * steps


def test_these_users_are_judged_like_real_ones() -> None:
    """The check itself, fed with users of a ramp: the same log e-value as from the counts alone."""
    crowd, split, log_e = Crowd(83), start_split(TEN_STEPS), np.zeros(len(ONE.ratios))
    for step, share in enumerate(SHARES):
        split = follow(split, route_of(step, at_ms=1_000 * step, v2=round(share * PPM)))
        units = crowd.come(400, share=0.8 * share, epoch=step, start=400 * step)
        split = see(TEN_STEPS, split, units, now_ms=1_000 * step)
        stays, meets = gains(share)
        k = units.version.count("v2")
        log_e += k * meets + (400 - k) * stays
    found = split_evidence(TEN_STEPS, split)
    assert found is not None
    assert found.log_evidence == pytest.approx(float(np.logaddexp.reduce(log_e)) - np.log(len(ONE.ratios)))
