"""Verdicts, and the evidence that carries them."""

from __future__ import annotations

import enum

import msgspec


class Verdict(enum.Enum):
    """What is known of a metric. Ordered from good to bad; several combine by the worst.

    >>> max(Verdict.PASS, Verdict.NO_DATA)
    <Verdict.NO_DATA: 'NO_DATA'>
    """

    PASS = "PASS"
    INCONCLUSIVE = "INCONCLUSIVE"
    NO_DATA = "NO_DATA"
    ERROR = "ERROR"
    FAIL = "FAIL"

    @property
    def rank(self) -> int:
        return _RANKS[self]

    def __lt__(self, other: Verdict) -> bool:
        return self.rank < other.rank

    def __gt__(self, other: Verdict) -> bool:
        return self.rank > other.rank


_RANKS = {verdict: rank for rank, verdict in enumerate(Verdict)}


class Delay(msgspec.Struct, frozen=True):
    """How long a version's feedback took, from the answers to what was said of them; right to 1 %.

    Parameters
    ----------
    n : pieces of feedback that say it.
    ms_p50, ms_p90 : half and nine tenths of them came within.
    """

    n: int
    ms_p50: float
    ms_p90: float


class Evidence(msgspec.Struct, frozen=True):
    """Why a metric of one version has its verdict, in numbers and in one sentence. Unknown is None."""

    metric: str
    segment: str
    version: str
    detector: str
    detector_version: int
    role: str
    verdict: Verdict
    n_baseline: int
    n_canary: int
    sentence: str
    baseline: float | None = None
    canary: float | None = None
    effect: float | None = None
    effect_low: float | None = None
    effect_high: float | None = None
    log_evidence: float | None = None
    """Natural logarithm of the e-value against "not worse than the tolerance"."""
    alpha: float | None = None
    baseline_delay: Delay | None = None
    canary_delay: Delay | None = None
    """Of all feedback of either version, beside a gate on feedback; None where events do not say it."""
