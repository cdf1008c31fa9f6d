from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from detectors.summaries.by_unit import ByUnit
from detectors.summaries.measure import Measure
from detectors.summaries.summary import Summary
from detectors.units_seen import UnitsSeen
from schemas.event import InferenceEvent, encode_event
from schemas.plan import parse_plan
from schemas.report import Cell
from serinus.splitter import bucket_of
from streams.ingest.aggregate import aggregate
from streams.ingest.records import Records
from streams.ingest.unit_columns import hash_units
from streams.offline.cells import Naming, steps_of
from streams.offline.drawing import Drawn
from streams.offline.traffic import Shares, Traffic
from streams.offline.unit_cells import Units
from tests.streams.offline.worlds import PLAN, SCENARIO, plan, world

START_MS = 1_767_225_600_000
WITH_EVERYTHING = (
    PLAN
    + """  - {name: values.tokens_out, margin: 20%}
  - {name: feedback.rating, worse: lower, margin: 20%}
"""
)


@pytest.mark.parametrize("users", [0, 90, 4000])
def test_cells_are_those_that_ingest_makes_of_the_same_requests(users: int) -> None:
    """A simulated second is reported exactly as ingest would report its events, by unit too when there are users."""
    rng = np.random.default_rng(3)
    size = 400
    step = np.sort(rng.integers(0, 3, size))
    latency = rng.lognormal(5, 1, size)
    flags = rng.random((2, size)) < 0.3
    drawn = Drawn(
        first_step=0,
        step=step,
        segment=rng.integers(0, 2, size),
        dealt=step,
        answered=(np.ones(size, dtype=bool), np.ones(size, dtype=bool)),
        error=(flags[0], flags[1]),
        numbers={"latency_ms": (latency, latency * 2)},
        labels={"labels.reason": (rng.integers(0, 2, size), rng.integers(0, 2, size))},
        ratings={},
    )
    version = rng.integers(0, 2, size)
    naming = Naming("chat", ("v1", "v2"), ("eu", "us"), {"labels.reason": ("stop", "length")}, {"latency_ms"}, START_MS)
    user, routed = rng.integers(0, max(1, users), size), rng.integers(0, 1_000_000, size)
    units = None
    if users:
        bucket, hashes = hash_units([f"u{number}" for number in user])
        units = Units(bucket, hashes, routed, epoch=7)
    simulated = [step.cells for step in steps_of(drawn, version, naming, from_step=0, to_step=3, units=units)]

    def event(row: int) -> bytes:
        side = int(version[row])
        return encode_event(
            InferenceEvent(
                service="chat",
                version=naming.versions[side],
                ts_ms=START_MS + int(step[row]) * 1000,
                error=bool(drawn.error[side][row]),
                latency_ms=float(drawn.numbers["latency_ms"][side][row]),
                labels={"reason": ("stop", "length")[drawn.labels["labels.reason"][side][row]]},
                segment=naming.segments[drawn.segment[row]],
                unit=f"u{user[row]}" if users else None,
                epoch=7 if users else None,
                bucket=int(routed[row]) if users else None,
            )
        )

    records = Records.of([event(row) for row in range(size)], [START_MS + at * 1000 for at in step.tolist()])
    reported = [reports[0].cells for reports in aggregate([records])]
    assert [_by_arm(cells) for cells in simulated] == [_by_arm(cells) for cells in reported]
    assert [_seen(cells) for cells in simulated] == [_seen(cells) for cells in reported]
    assert bool(_seen(simulated[0])) == bool(users)


def _by_arm(cells: list[Cell]) -> dict[tuple[str, str], object]:
    found: dict[tuple[str, str], object] = {}
    for cell in cells:
        summary = Summary.of_cell(cell)
        latency = summary.metrics["latency_ms"]
        moments = [round(number, 6) for number in (latency.moments.mean, latency.moments.m2, latency.low or 0)]
        histogram = (latency.histogram.bins.tolist(), latency.histogram.counts.tolist())
        labels = summary.labels["reason"].counts
        found[cell.version, cell.segment] = (
            (cell.pane, summary.requests, moments, histogram, dict(labels)),
            _by_unit(summary.units),
        )
    return found


def _by_unit(units: ByUnit | None) -> object:
    if units is None:
        return None
    latency = units.metrics["latency_ms"]
    sums, m2 = [round(float(one), 6) for one in latency.sums], round(latency.m2, 6)
    return units.requests, latency.pairs, sums, m2, units.labels


def _seen(cells: list[Cell]) -> list[object]:
    seen = UnitsSeen.of_cells(cells)
    epoch, bucket = seen.epoch.tolist(), seen.bucket.tolist()
    return list(zip(seen.hash.tolist(), seen.version, seen.segment, epoch, bucket, strict=True))


@pytest.mark.parametrize("times", [1.0, 0.5])
def test_requests_are_split_as_the_routers_do(times: float) -> None:
    """The canary gets its share of the requests, times what the scenario says the routers make of it."""
    made = world(f"split: {{times: {times}}}\n")
    traffic = Traffic(made, plan(), seed=1, start_ms=START_MS)
    requests = np.sum([traffic.step(Shares((("v2", 200_000),), "salt")).requests for _ in range(300)], axis=0)
    assert requests[1] / requests.sum() == pytest.approx(0.2 * times, abs=0.01)


def test_a_user_stays_where_the_splitter_puts_it() -> None:
    """Sticky users go by the bucket of their unit: a larger share adds users to the canary and takes none away."""
    text = SCENARIO.replace("{rate: 50/s,", "{rate: 50/s, users: {requests: 20, correlation: 0.3},")
    made = world(text=text)
    users = made.users(4)
    assert users is not None and users.count == pytest.approx(50 * 300 / 20)
    assert users.buckets("salt")[:3].tolist() == [bucket_of("salt", f"4-{number}") for number in range(3)]
    assert (users.buckets("other") != users.buckets("salt")).any()


def test_what_a_change_of_route_does_not_touch_stays() -> None:
    """The same requests arrive whatever the routes: a new share moves them between versions, from the next step on."""
    small, large = Shares((("v2", 10_000),), ""), Shares((("v2", 500_000),), "")
    one = Traffic(world(), plan(), seed=2, start_ms=START_MS)
    two = Traffic(world(), plan(), seed=2, start_ms=START_MS)
    for at in range(100):
        first, second = one.step(small), two.step(small if at < 50 else large)
        assert sum(first.requests) == sum(second.requests)
        assert (first.requests == second.requests) == (at < 50)


def test_feedback_comes_later_and_counts_for_the_version_that_served() -> None:
    """Ratings arrive after their delay, in cells without requests, though the route has changed since."""
    everything = parse_plan(WITH_EVERYTHING)
    traffic = Traffic(world(metrics=everything), everything, seed=2, start_ms=START_MS)
    rated: dict[int, Counter[str]] = {}
    for at in range(12):
        share = 1_000_000 if at < 4 else 0
        for cell in traffic.step(Shares((("v2", share),), "")).cells:
            for metric in cell.metrics:
                if metric.name == "feedback.rating":
                    assert cell.n == 0
                    rated.setdefault(at, Counter())[cell.version] += metric.n
    assert min(rated) == 3
    assert all(set(counts) == ({"v2"} if at - 3 < 4 else {"v1"}) for at, counts in rated.items())


def test_feedback_says_how_late_it_is() -> None:
    """Each rating carries its delay, spread around its median, and comes in the step that the delay says; a canary
    whose delay changes is heard later, and a plan that asks for the delay alone gets it."""
    late = SCENARIO.replace("delay: 3s", "delay: 30s, delay_sigma: 0.4")
    slower = "canary: [{at: 0s, feedback.latency_ms: {times: 2}}]\n"
    asked = plan(PLAN + "  - {name: feedback.latency_ms, margin: 20%}\n")
    traffic = Traffic(world(slower, text=late, metrics=asked), asked, seed=2, start_ms=START_MS)
    measures: dict[str, list[Measure]] = {"v1": [], "v2": []}
    for at in range(240):
        for cell in traffic.step(Shares((("v2", 500_000 if at < 60 else 0),), "")).cells:
            found = Summary.of_cell(cell).metrics
            if "feedback.latency_ms" in found:
                delay = found["feedback.latency_ms"]
                assert found["feedback.rating"].moments.n == delay.moments.n == delay.histogram.n
                assert delay.high is not None and delay.high <= (at + 0.5) * 1000
                measures[cell.version].append(delay)
    halves = [Measure.merge_all(measures[version]).quantile(0.5) for version in ("v1", "v2")]
    assert halves[0] == pytest.approx(30_000, rel=0.08)
    assert halves[1] == pytest.approx(60_000, rel=0.08)


def test_a_silent_canary_answers_nothing() -> None:
    """Its requests are gone, the baseline's stay."""
    traffic = Traffic(world("canary: [{at: 10s, silent: true}]\n"), plan(), seed=2, start_ms=START_MS)
    steps = [traffic.step(Shares((("v2", 500_000),), "")) for _ in range(20)]
    assert all(step.requests[1] > 0 for step in steps[:10]) and all(step.requests[1] == 0 for step in steps[10:])
    assert all(step.requests[0] > 0 for step in steps)


def test_users_are_told_to_the_judge_with_their_route() -> None:
    """Cells of sticky users carry sums by unit and the route in force, feedback too; before a route they know none."""
    text = SCENARIO.replace("{rate: 50/s,", "{rate: 50/s, users: {requests: 20, correlation: 0.3},")
    asked = plan(WITH_EVERYTHING)
    traffic = Traffic(world(text=text, metrics=asked), asked, seed=1, start_ms=START_MS)
    split = Shares((("v2", 300_000),), "salt", epoch=4).split("v1", 1.0)
    before = UnitsSeen.of_cells(traffic.step(Shares((("v2", 300_000),), "salt")).cells)
    assert set(before.epoch.tolist()) == set(before.bucket.tolist()) == {-1}
    steps = [traffic.step(Shares((("v2", 300_000),), "salt", epoch=4)) for _ in range(120)]
    for step in steps:
        seen = UnitsSeen.of_cells(step.cells)
        assert set(seen.epoch.tolist()) == {4}
        assert [split.version_of(bucket) for bucket in seen.bucket.tolist()] == list(seen.version)
    summaries = [Summary.of_cell(cell) for step in steps for cell in step.cells]
    rated = [one.units.metrics for one in summaries if one.units and not one.requests.n]
    assert rated and all({"feedback.rating", "feedback.latency_ms"} == set(one) for one in rated)
    for one in summaries:
        assert one.units is not None
        assert one.units.requests.n == one.requests.n
        for name, measure in one.metrics.items():
            assert one.units.metrics[name].moments.n == measure.moments.n
            assert one.units.metrics[name].moments.mean == pytest.approx(measure.moments.mean)
