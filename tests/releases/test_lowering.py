"""An adaptive ramp goes down again when its budget has most likely been spent, and only then."""

from __future__ import annotations

import pytest

from detectors.summaries.rate import Rate
from detectors.summaries.summary import Summary
from releases.harm import HarmState
from releases.judge import JudgeState, observe, start_judge
from releases.lowering import Lowering, likely_harm, lowering
from releases.machine_io import Judged
from schemas.command import Verb
from schemas.decision import Action, State
from schemas.evidence import Verdict
from schemas.plan import parse_plan
from tests.releases.story import MINUTE_MS, PLAN, Story, plan_of
from tests.releases.test_harm import ADAPTIVE, released

BUDGET = 50


def at(share_ppm: int) -> Story:
    """A release that has got to a share by evidence."""
    story = Story(plan_of(ADAPTIVE))
    while story.release.canary_share_ppm < share_ppm:
        story.keep(Verdict.PASS, MINUTE_MS, share_ppm=share_ppm)
    return story


def seen(blocks: int, canary_errors: int, *, baseline_errors: int = 1) -> JudgeState:
    """Blocks of 50 requests of each version, one a second."""
    plan = parse_plan(ADAPTIVE)
    state = start_judge(plan)
    for beat in range(1, blocks + 1):
        arms = {
            ("v1", ""): Summary(Rate(50, baseline_errors)),
            ("v2", ""): Summary(Rate(50, canary_errors)),
        }
        state = observe(plan, state, arms, beat_end_ms=1_000 * beat)
    return state


def test_the_estimate_is_the_difference_within_blocks() -> None:
    """Two of fifty instead of one: one extra failure a block; a drift that both have is none."""
    plan = parse_plan(ADAPTIVE)
    for baseline_errors in (0, 1, 20):
        known = seen(30, baseline_errors + 1, baseline_errors=baseline_errors)
        likely = likely_harm(plan, known.harm, ("v2",))
        assert likely is not None
        assert likely.so_far == pytest.approx(30)
        assert likely.per_share == pytest.approx(0.02 * 100 * 60, rel=0.05)
    better = likely_harm(plan, seen(30, 0, baseline_errors=2).harm, ("v2",))
    assert better is not None
    assert better.so_far == pytest.approx(-60)
    assert better.per_share == 0.0
    assert likely_harm(plan, HarmState(), ("v2",)) is None


def asked(story: Story, known: JudgeState) -> Lowering | None:
    return lowering(story.release, known.harm)


def test_it_goes_down_to_what_the_budget_has_room_for() -> None:
    """Thirty of fifty are spent, and another minute at 50 % may add sixty: at 15 % it adds eighteen."""
    story = at(500_000)
    found = asked(story, seen(30, 2))
    assert found is not None
    assert 30 + 0.02 * 6_000 * found.to_ppm / 1e6 <= BUDGET < 30 + 0.02 * 6_000 * 1.6 * found.to_ppm / 1e6
    assert found.reason == (
        "harm budget: most likely 30 of 50 extra failed requests so far, and 90 after another 1m at 50 %"
    )
    spent = asked(story, seen(80, 2))
    assert spent is not None and spent.to_ppm == 10_000, "nothing is affordable: the first share"


def test_what_is_within_the_budget_stays() -> None:
    """As many failures as the baseline, or fewer; and at the first share there is nothing to give back."""
    story = at(500_000)
    assert asked(story, seen(120, 1)) is None
    assert asked(story, seen(120, 0)) is None
    assert asked(Story(plan_of(ADAPTIVE)), seen(200, 3)) is None
    assert lowering(Story(plan_of(PLAN)).release, HarmState()) is None, "fixed ramps have no budget"


def judged(story: Story, to_ppm: int, verdict: Verdict = Verdict.INCONCLUSIVE) -> None:
    story.put(
        Judged(
            seq=story.state.seq + 1,
            verdict=verdict,
            for_share_ppm=1_000_000,
            reason="as it is",
            canary_requests={"v2": 3},
            baseline_requests=97,
            lowering=Lowering(to_ppm, "too much"),
        )
    )


def test_the_machine_lowers_and_begins_the_step_anew() -> None:
    """The share falls at once, PASS or not; the ramp goes on from there after another hold."""
    story = at(500_000).wait(1_000)
    judged(story, 22_500, Verdict.PASS)
    assert (story.last.action, story.last.state) == (Action.LOWER, State.RAMPING)
    assert story.last.reason == "Lowered v2 at 2.25 % (v2 from 50 %): too much."
    assert story.routes[-1].weights_ppm == {"v1": 977_500, "v2": 22_500}
    assert (story.release.step_since_ms, story.release.opened) == (story.now_ms, 3)
    story.keep(Verdict.PASS, MINUTE_MS - 1_000, share_ppm=500_000)
    assert story.release.canary_share_ppm == 22_500
    story.keep(Verdict.PASS, 2_000, share_ppm=33_750)
    assert story.release.canary_share_ppm == 33_750


def test_it_never_raises_and_leaves_to_an_operator_what_is_paused() -> None:
    """A share that is not below the present one is none to go down to."""
    story = at(33_750)
    for to_ppm in (33_750, 500_000):
        judged(story, to_ppm)
        assert story.release.canary_share_ppm == 33_750
    story.command(Verb.PAUSE)
    judged(story, 10_000)
    assert story.release.canary_share_ppm == 33_750


def test_harm_and_silence_come_first() -> None:
    """What ends the release or holds it is not made into a smaller share."""
    story = at(33_750)
    judged(story, 10_000, Verdict.FAIL)
    assert story.release.state is State.ROLLED_BACK


def test_at_the_margin_a_release_gives_back_its_share() -> None:
    """Errors 1 → 1.5 %, closed loop: some of 6 releases are lowered (in 8 others 5 were), and none for good."""
    found = [released("errors-1-to-1.5", seed) for seed in range(20, 26)]
    lowered = [one for one in found if any(d.action is Action.LOWER for d in one.decisions)]
    assert lowered
    for one in lowered:
        shares = [d.weights_ppm.get("v2", 0) for d in one.decisions]
        actions = [d.action for d in one.decisions]
        assert all(
            after < before
            for before, after, action in zip(shares, shares[1:], actions[1:], strict=False)
            if action is Action.LOWER
        )
