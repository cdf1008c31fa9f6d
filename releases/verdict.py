"""The lattice of verdicts: several combine by the worst, and nothing known is never good."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.evidence import Verdict


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of several verdicts; of none, NO_DATA.

    The order is ``PASS < INCONCLUSIVE < NO_DATA < ERROR < FAIL``. An empty set is NO_DATA and not PASS: a release whose
    gates have all gone silent must not look like one whose gates are all content.

    >>> combine([Verdict.PASS, Verdict.INCONCLUSIVE])
    <Verdict.INCONCLUSIVE: 'INCONCLUSIVE'>
    >>> combine([])
    <Verdict.NO_DATA: 'NO_DATA'>
    """
    return max(verdicts, key=lambda verdict: verdict.rank, default=Verdict.NO_DATA)
