"""Unlike the past: the online Gaussians on labelled series of the Numenta Anomaly Benchmark: `python -m bench.nab`."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np

from bench.nab_scoring import PROFILES, Profile, Series, normalised, score
from detectors.arrays import Floats
from detectors.gaussian.online import OnlineGaussian

HERE = Path(__file__).parent
DATA = HERE / "data" / "nab"
WINDOW: Final = 6_400
WINDOW_LIMIT: Final = 7.1
"""The published threshold is a tail of 0, which its table of tails reaches at 7.1."""

LIMITS = np.round(np.arange(2.0, 20.01, 0.1), 1)
DETECTORS: Final = {
    "online Gaussian, all values alike (Welford)": OnlineGaussian(sigmas=3.0, fires=1, of_last=1),
    "online Gaussian, forgetting 0.001": OnlineGaussian(forgetting=0.001, sigmas=3.0, fires=1, of_last=1),
    "online Gaussian, forgetting 0.01": OnlineGaussian(forgetting=0.01, sigmas=3.0, fires=1, of_last=1),
}


def load() -> list[Series]:
    """The seven series with known causes and their labelled windows."""
    labelled = json.loads((DATA / "windows.json").read_text(encoding="utf-8"))
    return [_series(name, windows) for name, windows in sorted(labelled.items())]


def _series(name: str, windows: list[tuple[str, str]]) -> Series:
    rows = [line.split(",") for line in (DATA / name).read_text(encoding="utf-8").splitlines()[1:]]
    at = {datetime.fromisoformat(when): index for index, (when, _) in reversed(list(enumerate(rows)))}
    limits = [(at[datetime.fromisoformat(a)], at[datetime.fromisoformat(b)]) for a, b in windows]
    return Series(name, np.array([float(value) for _, value in rows]), limits)


def windowed_gaussian(values: Floats) -> Floats:
    """[n] abs(z) of each value against the last WINDOW values before it: the benchmark's own windowed Gaussian.

    It is here to check the scorer: its published scores must come out.
    """
    found = np.zeros(values.size)
    for index in range(1, values.size):
        past = values[max(0, index - WINDOW) : index]
        found[index] = abs(values[index] - past.mean()) / (past.std() or 1e-6)
    return found


def distances(observer: OnlineGaussian, values: Floats) -> Floats:
    """[n] abs(z) of each value against the values before it; 0 while unknown, infinite beyond a constant past."""
    found, state = np.zeros(values.size), observer.start()
    for index, value in enumerate(values.tolist()):
        said = observer.score(state, value)
        found[index] = abs(said.z) if said.z is not None else np.inf if said.unusual else 0.0
        state = observer.learn(state, value)
    return found


def total(series: list[Series], flags: list[Floats], limit: float, profile: Profile) -> float:
    """The normalised score over all series at one limit."""
    raw = sum(score(one, found >= limit, profile) for one, found in zip(series, flags, strict=True))
    return normalised(raw, sum(len(one.windows) for one in series), profile)


def best(series: list[Series], found: list[Floats], profile: Profile) -> tuple[float, float]:
    """The highest score over all limits, and its limit. The benchmark tunes limits on the series that it scores too."""
    return max((total(series, found, limit, profile), limit) for limit in LIMITS.tolist())


def main() -> None:
    """Score the observers at their best limits, beside the windowed Gaussian at its published one."""
    series = load()
    windowed = [windowed_gaussian(one.values) for one in series]
    rows = {
        "windowed Gaussian of the benchmark": {
            name: (total(series, windowed, WINDOW_LIMIT, profile), WINDOW_LIMIT) for name, profile in PROFILES.items()
        }
    }
    at_3 = dict.fromkeys(DETECTORS, 0.0)
    for name, observer in DETECTORS.items():
        found = [distances(observer, one.values) for one in series]
        rows[name] = {profile: best(series, found, weights) for profile, weights in PROFILES.items()}
        at_3[name] = total(series, found, 3.0, PROFILES["standard"])
    windows = sum(len(one.windows) for one in series)
    result = {"series": len(series), "windows": windows, "scores": rows, "standard_at_3_sigma": at_3}
    (HERE / "results" / "nab.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
