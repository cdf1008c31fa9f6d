"""PASS for exceedances: is it excluded that opening to a share makes the quantile of all users worse by the margin?"""

from __future__ import annotations

from math import sqrt
from typing import Final

import msgspec
import numpy as np

from detectors.arrays import Flags, Floats, Ints, constant
from detectors.batches import SHARE_MIN
from detectors.rows import height_of, placed
from detectors.sequential.past import grown
from detectors.sequential.past_rate import PastRate, learn_rates, rate_of, start_rate
from detectors.sequential.two_by_two import Alternatives, Tables, log_ratios, odds_times

RATIOS: Final = (0.7, 1.0, 1.3)
_GAP_MAX: Final = 0.99


class Exceedances(msgspec.Struct, frozen=True, eq=False):
    """Exceedances in m blocks.

    Parameters
    ----------
    rows : int64 [m] of segments.
    n_b, n_c : [m] values of each arm; n_c may be 0.
    k_b : [m] of the baseline beyond the threshold q.
    far_b, far_c : [m] of each arm beyond q made worse by the margin.
    gaps : [G] for each share, (1-w)/w times the baseline's share between the two edges; known before the blocks.
    """

    rows: Ints
    n_b: Floats
    n_c: Floats
    k_b: Floats
    far_b: Floats
    far_c: Floats
    gaps: Floats

    @property
    def paired(self) -> Flags:
        """[m] which blocks have both arms, as in a :class:`detectors.batches.RateBatch`."""
        return np.minimum(self.n_b, self.n_c) > SHARE_MIN * (self.n_b + self.n_c)


class StepState(msgspec.Struct, frozen=True, eq=False):
    """The baseline's past beyond both edges, and [R, G, J] log e-values for each share: of all, and since a step."""

    near: PastRate
    far: PastRate
    overall: Floats
    recent: Floats


def gap_of(share: float, between: float, n: float) -> float:
    """How much the canary may exceed the baseline's tail at a share w of the traffic: (1-w)/w times what lies between.

    All users together stay within the margin while w p_c + (1-w) η <= τ, τ the share of the baseline beyond the
    threshold q and η that beyond (1 + margin) q; so p_c may reach τ + (1-w)/w (τ - η), and τ itself for everybody.
    (Dividing the margin by w is unsound for quantiles: a canary with 30 % of its requests at 3.9 q would pass at 5 %
    share.) τ - η is estimated, so two standard errors are taken off.

    Parameters
    ----------
    share : w, within (0, 1].
    between : estimate of τ - η, from n >= 1 values of the baseline.

    >>> gap_of(1.0, 0.005, 5000.0), round(gap_of(0.5, 0.005, 5000.0), 4)
    (0.0, 0.003)
    """
    low = max(0.0, between - 2.0 * sqrt(between * (1.0 - between) / n))
    return min((1.0 - share) / share * low, _GAP_MAX)


def start_step(shares: int) -> StepState:
    """Nothing known; one row, the total."""
    nothing = np.zeros((1, shares, len(RATIOS)))
    return StepState(start_rate(), start_rate(), nothing, nothing)


def restart_step(state: StepState) -> StepState:
    """No evidence since the last step, with all else kept."""
    return msgspec.structs.replace(state, recent=np.zeros_like(state.recent))


def advance_step(state: StepState, seen: Exceedances, *, prior_rate: float) -> StepState:
    """After one block in each of some segments.

    The null of a column is p_c(beyond the far edge) >= p_b(beyond q) + gap, a 2×2 table with another event in each
    arm (as in :class:`detectors.sequential.margin_2x2.Margin2x2`). The alternatives are canaries whose far tail is
    a little lighter than, equal to, and heavier than the baseline's.

    Parameters
    ----------
    prior_rate : of the baseline beyond q, within (0, 1).
    """
    (gain,) = log_ratios([asked_step(state, seen, prior_rate=prior_rate)])
    near = learn_rates(state.near, seen.rows, n=seen.n_b, k=seen.k_b)
    return advanced_step(state, seen, near, gain)


def asked_step(state: StepState, seen: Exceedances, *, prior_rate: float) -> tuple[Tables, Alternatives]:
    """The tables of the m blocks with both arms, and what they are compared with: [m, G J]."""
    paired = seen.paired
    rows, gaps = seen.rows[paired], seen.gaps.repeat(len(RATIOS))
    theta_b = np.minimum(rate_of(state.near, rows, prior_rate)[:, None], (1.0 - gaps) * (1.0 - 1e-6))
    far = rate_of(state.far, rows, 0.5 * prior_rate)
    theta_c = np.minimum(odds_times(far, constant(RATIOS * seen.gaps.size)), theta_b + gaps)
    counts = (seen.k_b, seen.n_b, seen.far_c, seen.n_c)
    return Tables(*(count[paired][:, None] for count in counts)), Alternatives(theta_b, theta_c, gaps)


def advanced_step(state: StepState, seen: Exceedances, near: PastRate, gain: Floats) -> StepState:
    """The same for a caller that has compared and learned already.

    Parameters
    ----------
    near : the past beyond q with these blocks in it.
    gain : [m, G J] log ratios of what :func:`asked_step` gives.
    """
    rows, height = seen.rows[seen.paired], height_of(seen.rows)
    overall, recent = grown(state.overall, height, 0.0), grown(state.recent, height, 0.0)
    if rows.size:
        overall, recent = placed(rows).added(gain.reshape(rows.size, *overall.shape[1:]), overall, recent)
    far = learn_rates(state.far, seen.rows, n=seen.n_b, k=seen.far_b)
    return StepState(near, far, overall, recent)


def excluded_step(state: StepState, *, recent: bool = False) -> Floats:
    """[R, G] log e-value against each share's null, averaged over the alternatives."""
    log_c = state.recent if recent else state.overall
    top = np.maximum.reduce(log_c, axis=2)
    evidence: Floats = top + np.log(np.add.reduce(np.exp(log_c - top[:, :, None]), axis=2) / len(RATIOS))
    return evidence
