from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from schemas.file_errors import FileError, RuleError
from schemas.plan import Plan, parse_plan
from schemas.scenario import Distribution, Gamma, Lognormal, Normal, Sample
from streams.offline.changes import Change
from streams.offline.distributions import quantity_of
from streams.offline.drawing import Drawn, World, draw
from streams.offline.samples import read_numbers, read_times_s
from streams.offline.users import Users
from tests.streams.offline.worlds import SCENARIO, world

EVERYTHING: Plan = parse_plan("""
service: chat
baseline: v1
canaries: [v2]
ramp: {kind: stages, steps: [{weight: 50%, hold: 1m}]}
metrics:
  - {name: error_rate, margin: 2%}
  - {name: latency_ms, margin: 20%}
  - {name: values.tokens_out, margin: 20%}
  - {name: feedback.rating, margin: 20%, worse: lower}
""")


def drawn(extra: str = "", *, text: str = SCENARIO) -> tuple[World, Drawn]:
    made = world(extra, text=text, metrics=EVERYTHING)
    return made, draw(made, made.users(7), chunk=0, seed=7)


@pytest.mark.parametrize(
    ("distribution", "mean", "median"),
    [
        (Distribution(lognormal=Lognormal(180, 0.5)), 180 * np.exp(0.125), 180.0),
        (Distribution(normal=Normal(5, 2)), 5.0, 5.0),
        (Distribution(gamma=Gamma(6, 1)), 6.0, 6 * np.log(2)),
        (Distribution(sample=Sample("sample.csv", "ms")), 30.0, 20.0),
    ],
)
def test_a_distribution_has_its_mean_and_median(
    distribution: Distribution, mean: float, median: float, tmp_path: Path
) -> None:
    """What a scenario writes is what is drawn, for every distribution."""
    (tmp_path / "sample.csv").write_text("ms\n10\n20\n60\n")
    quantity = quantity_of(distribution, tmp_path)
    values = quantity.of_normal(np.random.default_rng(1).standard_normal(200_000))
    assert quantity.mean == pytest.approx(mean)
    assert values.mean() == pytest.approx(mean, rel=0.01)
    assert np.median(values) == pytest.approx(median, rel=0.01)


def test_a_change_grows_over_its_onset_and_ends() -> None:
    """Half of the effect is there half-way through `over`; nothing is left after `for`."""
    change = Change(at_ms=1000, over_ms=2000, for_ms=5000)
    at_ms = np.array([0.0, 999.0, 1000.0, 2000.0, 3000.0, 5999.0, 6000.0])
    assert change.strength(at_ms).tolist() == [0, 0, 0, 0.5, 1, 1, 0]
    assert Change(at_ms=1000).strength(at_ms).tolist() == [0, 0, 1, 1, 1, 1, 1]


def test_effects_hit_the_canary_and_its_segment_only() -> None:
    """`to`, `times`, `add` and `tail_times` do what they say, in the segment they name, to the version they name."""
    canary = """
canary:
  - {at: 0s, segment: us, error_rate: {to: 40%}}
  - {at: 0s, latency_ms: {tail_times: 3, above: 90%}}
  - {at: 0s, values.tokens_out: {times: 1.5}}
  - {at: 0s, feedback.rating: {add: -1}}
"""
    made, found = drawn(canary)
    us = found.segment == made.segments.index("us")
    assert abs(found.error[1][us].mean() - 0.4) < 0.03 and abs(found.error[1][~us].mean() - 0.01) < 0.01
    assert (found.error[0] == np.where(us, found.error[0], found.error[1])).all()
    ratio = found.numbers["latency_ms"][1] / found.numbers["latency_ms"][0]
    assert set(np.unique(ratio.round(9))) == {1.0, 3.0} and abs((ratio > 2).mean() - 0.1) < 0.02
    slow = found.numbers["latency_ms"][0][ratio > 2]
    assert slow.min() > found.numbers["latency_ms"][0][ratio < 2].max()
    assert np.allclose(found.numbers["values.tokens_out"][1] / found.numbers["values.tokens_out"][0], 1.5)
    ours, theirs = found.ratings["feedback.rating"].values
    assert np.allclose(theirs - ours, -1)


def test_a_disturbance_hits_both_versions_alike() -> None:
    """`both` changes the baseline exactly as the canary."""
    _, found = drawn("both: [{at: 1m, for: 1m, latency_ms: {times: 3}, error_rate: {to: 50%}}]\n")
    assert (found.error[0] == found.error[1]).all()
    assert (found.numbers["latency_ms"][0] == found.numbers["latency_ms"][1]).all()
    during = (found.step >= 60) & (found.step < 120)
    assert abs(found.error[0][during].mean() - 0.5) < 0.05 and found.error[0][~during].mean() < 0.03


def test_the_traffic_does_not_depend_on_what_is_drawn_besides() -> None:
    """Another effect, or another metric of the plan, leaves everything else of the run as it was."""
    _, plain = drawn()
    _, slower = drawn("canary: [{at: 0s, latency_ms: {times: 2}}]\n")
    assert (plain.step == slower.step).all() and (plain.error[1] == slower.error[1]).all()
    fewer = draw(world(), None, chunk=0, seed=7)
    assert (plain.numbers["latency_ms"][0] == fewer.numbers["latency_ms"][0]).all()


def test_metrics_correlate_as_asked() -> None:
    """The copula has the correlation of the scenario, and the canary its own."""
    text = SCENARIO + "  correlation: [{between: [latency_ms, values.tokens_out], rho: 0.7}]\n"
    change = "canary: [{at: 0s, correlation: [{between: [latency_ms, values.tokens_out], rho: -0.2}]}]\n"
    _, found = drawn(change, text=text)
    for side, rho in ((0, 0.7), (1, -0.2)):
        logs = [np.argsort(np.argsort(found.numbers[name][side])) for name in ("latency_ms", "values.tokens_out")]
        spearman = np.asarray(np.corrcoef(logs))[0, 1]
        assert spearman == pytest.approx(6 / np.pi * np.arcsin(rho / 2), abs=0.03)


def test_requests_of_a_user_correlate_however_rare_errors_are() -> None:
    """Errors of one per cent keep the asked correlation within users; a copula would lose most of it."""
    users = Users(2_000, np.array([1.0]), correlation=0.3, seed=3)
    rng = np.random.default_rng(5)
    user = np.repeat(np.arange(users.count), 20)
    errors = users.uniforms("error_rate", user, rng.random(user.size), rng) < 0.05
    sums = errors.reshape(-1, 20).sum(axis=1)
    p, n = errors.mean(), 20
    correlation = (sums.var() / (n * p * (1 - p)) - 1) / (n - 1)
    assert correlation == pytest.approx(0.3, abs=0.06)
    z = users.normals("latency_ms", user, rng.standard_normal(user.size)).reshape(-1, 20)
    assert np.asarray(np.corrcoef(z[:, 0], z[:, 1]))[0, 1] == pytest.approx(0.3, abs=0.06)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("{lognormal: {median: 180, sigma: 0.5}}", "{lognormal: {median: 0, sigma: 0.5}}"),
        ("{gamma: {mean: 100, shape: 2}}", "{gamma: {mean: 100, shape: 0}}"),
        ("rate: 50/s,", "rate: 50/s, shape: {bursts: {times: 5, every: 0s, length: 1s}},"),
        ("rate: 50/s,", "rate: 50/s, shape: {diurnal: {period: 0s, amplitude: 50%}},"),
    ],
)
def test_numbers_outside_their_domain_are_refused(field: str, wrong: str) -> None:
    """No scenario divides by zero in the middle of a run."""
    with pytest.raises(RuleError, match="allowed"):
        world(text=SCENARIO.replace(field, wrong))


def test_a_high_rate_is_drawn_in_short_pieces() -> None:
    """What is in memory at once is bounded by requests, not by time, and the pieces join without a seam."""
    made = world(text=SCENARIO.replace("50/s", "20000/s").replace("5m", "20s"))
    assert made.chunk_steps == 15
    second = draw(made, None, chunk=1, seed=1)
    assert (second.first_step, int(second.step[0]), int(second.step[-1])) == (15, 15, 19)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("canary: [{at: 0s, segment: asia, error_rate: {to: 2%}}]\n", "allowed are eu, us"),
        ("canary: [{at: 0s, values.cost: {times: 2}}]\n", "no such metric"),
        ("canary: [{at: 0s, latency_ms: {times: fast}}]\n", "allowed is a number"),
        ("canary: [{at: 0s, error_rate: {to: 0.02}}]\n", "percentage"),
        ("canary: [{at: 0s, error_rate: {tail_times: 2, above: 95%}}]\n", "no tail"),
        ("canary: [{at: 0s, labels.finish_reason: {to: {stop: 50%}}}]\n", "allowed is 100%"),
        ("canary: [{at: 0s, correlation: [{between: [latency_ms, values.cost], rho: 0.1}]}]\n", "values.cost"),
    ],
)
def test_a_wrong_change_is_refused_before_anything_runs(extra: str, said: str) -> None:
    """What the types of the file cannot say is said when the scenario meets its baseline."""
    with pytest.raises(RuleError, match=said):
        world(extra)


def test_samples_say_what_is_wrong_with_them(tmp_path: Path) -> None:
    """A missing file, a missing column and a cell that is no number each name the file and the column."""
    file = tmp_path / "s.csv"
    with pytest.raises(FileError, match="not readable"):
        read_numbers(file, "ms")
    file.write_text("ms,at\n5,2026-01-01 00:00:00.5\nx,2026-01-01 00:00:02\n")
    with pytest.raises(FileError, match="allowed are ms, at"):
        read_numbers(file, "s")
    with pytest.raises(FileError, match="allowed are numbers"):
        read_numbers(file, "ms")
    assert read_times_s(file, "at").tolist() == [0.0, 1.5]


def test_load_follows_its_shape() -> None:
    """Bursts multiply the rate, a day swings it, and both keep their place in time."""
    text = SCENARIO.replace("rate: 50/s,", "rate: 200/s, shape: {bursts: {times: 5, every: 1m, length: 10s}},")
    _, found = drawn(text=text)
    counts = np.bincount(found.step, minlength=300)
    burst = np.arange(300) % 60 < 10
    assert counts[burst].mean() == pytest.approx(1000, rel=0.03)
    assert counts[~burst].mean() == pytest.approx(200, rel=0.03)


def test_recorded_arrivals_are_taken_as_they_are(tmp_path: Path) -> None:
    """A trace gives its own counts per second and begins again at its end."""
    (tmp_path / "a.csv").write_text("at\n0\n0.2\n2.5\n2.9\n2.95\n")
    trace = f"trace: {tmp_path / 'a.csv'}, column: at,"
    _, found = drawn(text=SCENARIO.replace("rate: 50/s,", trace).replace("duration: 5m", "duration: 7s"))
    assert np.bincount(found.step, minlength=7).tolist() == [2, 0, 3, 2, 0, 3, 2]
