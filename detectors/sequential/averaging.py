"""Averages of e-values, in the log domain: the one way in which evidence is combined."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, inf, isclose, log


def log_average(log_e: Sequence[float], weights: Sequence[float]) -> float:
    """Log of the weighted average of e-values.

    An average of e-values is an e-value under any dependence, and it reaches a threshold whenever Bonferroni's
    smallest p-value does (Vovk and Wang 2021, Annals of Statistics 49, sec. 3).

    Parameters
    ----------
    log_e : natural logs of the e-values, e.g. of the gates of a release; at least one.
    weights : as many, >= 0, adding up to 1.

    Raises
    ------
    ValueError : when the lengths differ or the weights are no weights.

    >>> round(exp(log_average([log(30.0), log(10.0)], [0.5, 0.5])), 9)
    20.0
    """
    if len(log_e) != len(weights) or not log_e:
        raise ValueError(f"log_average: as many weights as e-values, found {len(weights)} and {len(log_e)}")
    if min(weights) < 0 or not isclose(sum(weights), 1.0, abs_tol=1e-9):
        raise ValueError(f"log_average: weights are >= 0 and add up to 1, found {list(weights)}")
    terms = [value + log(weight) for value, weight in zip(log_e, weights, strict=True) if weight > 0]
    top = max(terms)
    return -inf if top == -inf else top + log(sum(exp(term - top) for term in terms))


def log_either(first: float, second: float) -> float:
    """Log of the average of two e-values: one for "higher", one for "lower".

    >>> round(exp(log_either(log(39.0), log(1.0))), 9)
    20.0
    """
    return log_average((first, second), (0.5, 0.5))
