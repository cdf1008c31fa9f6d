"""What the split looks like, in one row: as asked, or an ERROR, with the segment where it arises."""

from __future__ import annotations

from math import log
from typing import Final, NamedTuple

from detectors.sequential.misplaced import log_misplaced
from detectors.sequential.sample_ratio import ALPHA, SampleRatio, share_within
from releases.sentence import once_in, percentage, percentages
from releases.split_check import Place, SplitSeen, together
from schemas.evidence import Evidence, Verdict
from schemas.plan import Plan

METRIC: Final = "sample-ratio"

_LIMIT: Final = -log(ALPHA / 2)
"""Half of ALPHA for each of two questions: is the share as asked, and is each unit where its bucket belongs?"""


class _Look(NamedTuple):
    """Of the canary whose share is furthest off: who, units, shares seen and asked, and the logs of both e-values."""

    canary: str
    units: int
    share: float
    asked: float
    ratio: float
    misplaced: float

    @property
    def wrong(self) -> bool:
        """Too many units are on another version than their bucket's."""
        return self.misplaced >= _LIMIT

    @property
    def off(self) -> bool:
        """Another share than was asked for; a canary that has answered nobody is silent, and no broken split."""
        return self.ratio >= _LIMIT and self.share > 0

    @property
    def broken(self) -> bool:
        return self.wrong or self.off


def _look(plan: Plan, place: Place) -> _Look | None:
    if not place.ratio.n.any():
        return None
    test = SampleRatio(plan.canaries)
    name = plan.canaries[int(test.by_canary(place.ratio).argmax())]
    seen = test.split(place.ratio, name)
    if seen.share is None or seen.asked is None:
        return None
    misplaced = log_misplaced(place.misplaced, place.checked)
    return _Look(name, seen.units, seen.share, seen.asked, test.log_evidence(place.ratio), misplaced)


def _whole(split: SplitSeen) -> Place:
    return Place(split.ratio, split.checked, split.misplaced)


def split_broken(plan: Plan, split: SplitSeen) -> bool:
    """Whether :func:`split_evidence` is an ERROR, without its words: it is asked at every beat."""
    look = _look(plan, _whole(split))
    return look is not None and look.broken


def arises_in(plan: Plan, split: SplitSeen) -> str | None:
    """The segment in which a broken split arises: broken by itself, while all the others together are not.

    None when there is no such segment: the split is fine, broken in several, or in too few units of each to say.
    """
    looks = {name: _look(plan, place) for name, place in split.places.items()}
    broken = [name for name, look in looks.items() if look is not None and look.broken]
    if len(broken) != 1 or len(looks) == 1 or not split_broken(plan, split):
        return None
    others = _look(plan, together(plan, [place for name, place in split.places.items() if name != broken[0]]))
    return None if others is not None and others.broken else broken[0]


def split_evidence(plan: Plan, split: SplitSeen) -> Evidence | None:
    """What the split looks like; None before any unit was counted.

    ERROR when chance makes a healthy split look so in at most one of 1 / ALPHA releases; then the row is that of the
    segment where it arises, if one can be told. A canary that has not answered anybody is silent, which is another
    matter (:mod:`releases.limits`).
    """
    segment = arises_in(plan, split)
    place = _whole(split) if segment is None else split.places[segment]
    look = _look(plan, place)
    if look is None:
        return None
    where = "" if segment is None else f" in segment {segment}"
    low, high = share_within(round(look.units * look.share), look.units)
    seen = f"{percentage(look.share)} of {look.units:,} users{where} went to {look.canary}"
    sentence = f"{METRIC}: {seen} (95 %: {percentages(low, high)}), {percentage(look.asked)} were asked for"
    if look.wrong:
        sentence = (
            f"{METRIC}: {place.misplaced:,} of {place.checked:,} users of the canaries{where} are not on the version "
            "that their route gives them; nothing that is measured of this split can be trusted"
        )
    elif look.off:
        sentence += f"; {once_in(look.ratio)}, so nothing that is measured of this split can be trusted"
    return Evidence(
        metric=METRIC,
        segment=segment or "",
        version=look.canary,
        detector=SampleRatio.NAME,
        detector_version=SampleRatio.VERSION,
        role="gate",
        verdict=Verdict.ERROR if look.broken else Verdict.PASS,
        n_baseline=round(look.units * (1.0 - look.share)),
        n_canary=round(look.units * look.share),
        sentence=sentence,
        baseline=look.asked,
        canary=look.share,
        effect=look.share - look.asked,
        effect_low=low - look.asked,
        effect_high=high - look.asked,
        log_evidence=max(look.ratio, look.misplaced),
        alpha=ALPHA,
    )
