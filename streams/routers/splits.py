"""The splits that what is in force asks for, laid out as the client library does."""

from __future__ import annotations

from collections.abc import Mapping

from serinus.route import MAX_LEASE_MS, Route, Rule, splits_of
from serinus.splitter import Split
from streams.in_force import InForce


def splits(now: InForce, *, step_ppm: int = 1) -> tuple[Mapping[str, Split], Split]:
    """The splits of the segments that have a rule, and the split of all others.

    Parameters
    ----------
    now : what is in force.
    step_ppm : the finest share that the proxy knows; canaries' shares are rounded down to it.

    Examples
    --------
    >>> now = InForce("chat", {"v1": 949_950, "v2": 50_050}, "v1", epoch=7)
    >>> splits(now, step_ppm=100)[1]
    Split(bounds=(50000,), versions=('v2', 'v1'))
    """

    def rounded(weights_ppm: Mapping[str, int]) -> dict[str, int]:
        return {version: ppm // step_ppm * step_ppm for version, ppm in weights_ppm.items() if version != now.fallback}

    weights_ppm = rounded(now.weights_ppm)
    weights_ppm[now.fallback] = 1_000_000 - sum(weights_ppm.values())
    return splits_of(
        Route(
            now.service,
            now.epoch or 0,
            weights_ppm,
            now.fallback,
            now.salt,
            0,
            MAX_LEASE_MS,
            rules=[Rule(list(rule.segments), rounded(rule.weights_ppm)) for rule in now.rules],
        )
    )
