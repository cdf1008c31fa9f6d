"""A scenario file says what is wrong with it: file, line, field, what was found, what is allowed."""

from __future__ import annotations

import pytest
import yaml

from schemas.file_errors import FileError
from schemas.scenario import parse_scenario

GOOD = """\
name: error-step
duration: 60m
traffic:
  rate: 50/s
  shape: {diurnal: {period: 24h, amplitude: 50%}}
  segments: {eu: 50%, us: 30%, asia: 20%}
  users: {requests: 20, correlation: 0.3}
baseline:
  error_rate: 1%
  latency_ms: {lognormal: {median: 180, sigma: 0.5}}
  values: {tokens_out: {sample: {file: trace.csv, column: GeneratedTokens}}}
  labels: {finish_reason: {stop: 90%, length: 10%}}
  feedback: {rating: {mean: 4.2, sd: 1, share: 10%, delay: 5m}}
  correlation: [{between: [latency_ms, values.tokens_out], rho: 0.7}]
canary:
  - {at: 10m, over: 5m, segment: asia, error_rate: {to: 2%}}
  - {at: 0s, latency_ms: {tail_times: 2, above: 95%}}
  - {at: 20m, silent: true}
both:
  - {at: 20m, for: 10m, latency_ms: {times: 3}, error_rate: {to: 8%}}
split: {times: 0.8}
"""

MISTAKES: list[tuple[str, str, str]] = [
    ("duration: 60m", "duration: 60", "s.yaml:2: duration: "),
    ("duration: 60m", "duration: 0s", "s.yaml:2: duration: found 0s; allowed is more than 0s"),
    ("rate: 50/s", "rate: fifty", "s.yaml:4: traffic.rate: found 'fifty'; allowed is a rate such as 50/s"),
    ("  rate: 50/s\n", "", "s.yaml:3: traffic: found both or neither of rate and trace; allowed is exactly one"),
    ("rate: 50/s", "trace: a.csv", "s.yaml:3: traffic.column: missing"),
    ("eu: 50%", "eu: 60%", "s.yaml:6: traffic.segments: found shares that add up to 110%; allowed is 100%"),
    ("correlation: 0.3}", "correlation: 1.5}", "s.yaml:7: traffic.users: "),
    ("error_rate: 1%\n", "error_rate: 1\n", "s.yaml:9: baseline.error_rate: found 1; allowed is a percentage"),
    ("error_rate: 1%\n", "error_rate: 101%\n", "s.yaml:9: baseline.error_rate: found 101%; allowed is at most 100%"),
    ("{lognormal: {median: 180, sigma: 0.5}}", "{}", "s.yaml:10: baseline.latency_ms: found 0 distributions"),
    ("{median: 180, sigma: 0.5}", "{median: 180}", "s.yaml:10: baseline.latency_ms.lognormal.sigma: missing"),
    ("{lognormal: {", "{weibull: {", "s.yaml:10: baseline.latency_ms.weibull: unknown field; allowed are lognormal"),
    ("stop: 90%", "stop: 80%", "s.yaml:12: baseline.labels.finish_reason: found shares that add up to 90%"),
    ("delay: 5m", "delay_sigma: -1", "s.yaml:13: baseline.feedback.rating.delay_sigma: found -1; allowed is 0 to 3"),
    ("{rating:", "{latency_ms:", "s.yaml:13: baseline.feedback.latency_ms: found latency_ms, the name of its delay"),
    ("rho: 0.7", "rho: 1.7", "s.yaml:14: baseline.correlation[0].rho: found 1.7; allowed is -1 to 1"),
    ("over: 5m", "over: five", "s.yaml:16: canary[0].over: found 'five'"),
    ("{at: 10m, over", "{over", "s.yaml:16: canary[0].at: missing"),
    ("{to: 2%}", "{too: 2%}", "s.yaml:16: canary[0].error_rate: found too; allowed is one of to, times, add"),
    ("{to: 2%}", "2%", "s.yaml:16: canary[0].error_rate: found '2%'; allowed is one of"),
    (", above: 95%", "", "s.yaml:17: canary[1].latency_ms: found tail_times; allowed is one of"),
    ("silent: true", "silent: perhaps", "s.yaml:18: canary[2].silent: found 'perhaps'; allowed is a bool"),
    ("silent: true", "asleep: true", "s.yaml:18: canary[2].asleep: unknown field; allowed are at, over, for"),
    ("times: 0.8", "times: 0", "s.yaml:21: split.times: found 0; allowed is more than 0"),
    ("split:", "spilt:", "s.yaml:21: spilt: unknown field; allowed are name, duration, traffic"),
    ("name: error-step\n", "", "s.yaml:1: name: missing; it is required"),
]


def test_a_good_scenario_is_read() -> None:
    """The scenario of the contract parses, with its units as plain numbers."""
    scenario = parse_scenario(GOOD, file="s.yaml")
    assert scenario.traffic.rate_per_s == 50.0
    assert scenario.baseline.feedback["rating"].delay == 300_000
    assert scenario.split.times == 0.8


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES, ids=[message for _, _, message in MISTAKES])
def test_each_mistake_has_its_message(old: str, new: str, message: str) -> None:
    """One mistake gives one line that names the place and the rule."""
    assert GOOD.count(old) >= 1
    with pytest.raises(FileError) as caught:
        parse_scenario(GOOD.replace(old, new, 1), file="s.yaml")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_the_example_is_plain_yaml() -> None:
    """No key stands twice in it, so that every mistake above is the only one."""
    assert yaml.safe_load(GOOD)["name"] == "error-step"
