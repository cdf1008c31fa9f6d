"""`plan check` in words: the numbers are right and what is wrong with a plan is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from releases.explain import explain
from releases.paces import paces_of
from releases.ramp_picture import COLUMNS, ramp_picture
from schemas.plan import parse_plan
from schemas.units import PPM
from tests.releases.story import PLAN, TWO_CANARIES, plan_of

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "plans").glob("*.yaml"))


def warnings_of(text: str, rate_per_s: float | None = None) -> list[str]:
    return [line for line in explain(plan_of(text), rate_per_s) if line.startswith("Warning: ")]


@given(st.lists(st.tuples(st.integers(1, PPM), st.floats(0, 1e9)), min_size=1, max_size=250))
def test_a_picture_fits_a_line_whatever_the_ramp(steps: list[tuple[int, float]]) -> None:
    """Two hundred short steps, one of no length at all, a first step of everybody."""
    drawn = ramp_picture(sorted(steps))
    assert 2 <= len(drawn) <= 2 * COLUMNS + 1
    assert list(drawn) == sorted(drawn), "a share that grows is a line that rises"


def test_a_plan_in_words() -> None:
    """Who, what is tolerated, what each step asks and takes, what ends it."""
    assert explain(plan_of(), rate_per_s=50) == [
        "chat: v2 is compared with v1. By evidence at most 1 in 20 healthy releases is rolled back (alpha 0.05).",
        "error_rate: more than 0.125 points worse is rolled back (alpha 0.05); "
        "promotion takes that 0.5 points is excluded.",
        "Half of each gate's evidence of harm looks at all requests, half at each segment by itself.",
        "Units (users) are counted where events carry one, else requests: requests of one user are not taken for "
        "independent. Expected numbers by unit are the least: dependence within users multiplies them by its design "
        "effect.",
        "Step 1 of 3: 1 %, held for 2m; then step 2 when excluded: "
        "error_rate worse by 10 points (about 37 canary requests, 76 by unit). Expected to last 2m.",
        "Step 2 of 3: 5 %, held for 5m; then step 3 when excluded: "
        "error_rate worse by 2 points (about 329 canary requests, 591 by unit). Expected to last 5m.",
        "Step 3 of 3: 25 %, held for 5m; then promotion when excluded: "
        "error_rate worse by 0.5 points (about 3,730 canary requests, 6,086 by unit). Expected to last 5m.",
        "Expected numbers are for a canary as good as v1, with an error rate of 1 % and numbers whose standard "
        "deviation is 1 × their mean.",
        "The ramp: ▁▁▁▁▁▁▁▁▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆█",
        "Promotion after 12m at the earliest; expected after 12m at 50 requests/s.",
        "Rolled back at once: harm shown by a gate that rolls back, in every step and while paused.",
        "No data for 2m holds the share; for 15m rolls back.",
        "No PASS for 1h after a step's hold holds the share.",
        "Not promoted within 4h: rolled back.",
    ]


def test_what_is_counted_is_said() -> None:
    """A plan that counts requests is warned of users who send many; one that counts units expects more requests."""
    warned = "requests of one user are dependent"
    by_request, by_unit, open_ = (plan_of(extra=extra) for extra in ("independent: request", "independent: unit", ""))
    assert [any(warned in line for line in explain(plan)) for plan in (by_request, by_unit, open_)] == [
        True,
        False,
        False,
    ]
    assert "Requests are counted one by one." in explain(by_request)
    assert any(line.startswith("Units (users) are counted: ") for line in explain(by_unit))
    least, asked = (paces_of(plan, None)[-1].requests["error_rate"] for plan in (by_request, by_unit))
    assert asked > 1.2 * least
    assert not any("by unit" in line for line in explain(by_request))


def test_without_a_rate_no_time_is_told() -> None:
    """What depends on the traffic is said only when the traffic is known."""
    assert not any("Expected to last" in line for line in explain(plan_of()))


def test_little_traffic_takes_longer() -> None:
    """At a hundredth of the traffic the steps wait for evidence; earlier steps' evidence counts, except to promote."""
    fast, slow = paces_of(plan_of(), 50.0), paces_of(plan_of(), 0.5)
    assert [pace.lasts_ms for pace in fast] == [120_000, 300_000, 300_000]
    times = [pace.lasts_ms or 0.0 for pace in slow]
    assert times[0] == pytest.approx(37 / 0.005 * 1000, rel=0.02)
    alone = slow[1].requests["error_rate"] / 0.025 * 1000
    assert 0.8 * alone < times[1] < 0.95 * alone
    assert times[2] == pytest.approx(slow[2].requests["error_rate"] / 0.125 * 1000)


def test_several_canaries_share_the_margin() -> None:
    """Two canaries at 5 % are 10 % of the users: the step's margin is half of one canary's."""
    one, two = paces_of(plan_of(), None), paces_of(plan_of(TWO_CANARIES), None)
    assert [pace.for_share_ppm for pace in one] == [50_000, 250_000, PPM]
    assert [pace.for_share_ppm for pace in two] == [100_000, 500_000, PPM]
    assert "v2 and v3 are each compared with v1" in explain(plan_of(TWO_CANARIES))[0]


@pytest.mark.parametrize(
    ("text", "rate_per_s", "warning"),
    [
        (PLAN + "limits: {max_duration: 10m}", None, "the holds alone take 12m and max_duration is 10m: this is never"),
        (PLAN + "limits: {max_duration: 13m}", 2, "rolls back what is not promoted"),
        (PLAN.replace("error_rate", "latency_ms"), None, "does not exclude rare large outliers"),
        (PLAN + "advance: strict", None, "strict asks for the full margin at every step"),
        (PLAN.replace("0.5%", "0.05%"), None, "its margin takes about "),
        (PLAN, 2, "at 1 % of 2/s only 2.4 requests come in 2m: a healthy canary will look silent"),
        (PLAN + "limits: {inconclusive: {after: 5m}, max_duration: 7d}", 1, "and inconclusive.after is 5m"),
        (
            PLAN.replace("stages, steps", 'stages, windows: [{from: "09:00", to: "17:00", days: mon-fri}], steps'),
            None,
            "nothing opens for up to 2d 16h, and max_duration 4h goes on meanwhile",
        ),
        (
            PLAN[: PLAN.index("ramp")]
            + "ramp: {kind: adaptive, from: 1%, to: 50%, harm_budget: 20, hold: 10m}\n"
            + PLAN[PLAN.index("metrics") :],
            50,
            "a step to 50 % for 10m may cost ",
        ),
        (PLAN + "alpha: 0.2", None, "alpha 0.2 rolls back up to 1 in 5 healthy releases"),
    ],
)
def test_warnings(text: str, rate_per_s: float | None, warning: str) -> None:
    """What will disappoint is said beforehand."""
    assert any(warning in line for line in warnings_of(text, rate_per_s)), warnings_of(text, rate_per_s)


def test_no_warning_without_reason() -> None:
    """A plan that fits its traffic is not nagged about."""
    assert warnings_of(PLAN, 50) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.name for path in EXAMPLES])
def test_examples(path: Path) -> None:
    """The plans in examples/ are right, and what they say of their own length is true."""
    plan = parse_plan(path.read_text(encoding="utf-8"), file=path.name)
    lasts = {"recommender": "18m", "support-bot": "30m", "driving-perception": "20m", "fraud-scoring": "24m"}
    lasts |= {"shop-search": "5m", "medical-imaging": "50m", "llm-chat": "10m"}
    assert any(line.startswith(f"Promotion after {lasts[path.stem]} at the earliest") for line in explain(plan))


def test_there_are_examples() -> None:
    """The folder was found."""
    assert {path.stem for path in EXAMPLES} >= {"llm-chat", "fraud-scoring"}


def test_a_season_is_explained_and_has_to_fit_into_the_release() -> None:
    """What alerts compare with and from when; a season that the release does not see twice is warned of."""
    metrics = "margin: 0.5%}, {name: latency_ms, role: observe, season: SEASON}]"
    text = PLAN.replace("margin: 0.5%}]", metrics)
    assert (
        "latency_ms: alerts on its own past compare with the same 1m 15s of earlier seasons of 1h, once each was seen "
        "in 2 of them; until then they say nothing."
    ) in explain(plan_of(text.replace("SEASON", "1h")))
    assert not [one for one in warnings_of(text.replace("SEASON", "1h")) if "season" in one]
    assert (
        "Warning: what is usual in the season of latency_ms is known after 2d, and max_duration is 4h: no alert on its "
        "own past will ever come."
    ) in warnings_of(text.replace("SEASON", "24h"))
