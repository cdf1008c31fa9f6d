"""Is the split as the routes asked? Each unit is counted once; a broken split makes every verdict void."""

from __future__ import annotations

from math import log
from typing import Final, NamedTuple

import msgspec
import numpy as np

from detectors.arrays import Hashes
from detectors.sequential.misplaced import log_misplaced
from detectors.sequential.sample_ratio import ALPHA, SampleRatio, SampleRatioState
from detectors.split_batches import SplitBatch
from detectors.units_seen import UnitsSeen
from releases.sentence import once_in, percentage
from schemas.evidence import Evidence, Verdict
from schemas.plan import Plan
from schemas.route import LEASE_MS, RENEW_MS, Route
from schemas.rule import Rule
from schemas.units import PPM

METRIC: Final = "sample-ratio"

EPOCHS_KEPT: Final = 64
"""Routes of a release that are remembered; units that name an older epoch are left out."""

UNITS_KEPT: Final = 8_192
"""Hashes of units that have been counted. When there are more, only units with smaller hashes are counted from then on:
half of them, whichever version serves them, and what was counted stays."""

_LIMIT: Final = -log(ALPHA / 2)
"""Half of ALPHA for each of two questions: is the share as asked, and is each unit where its bucket belongs?"""

SETTLED_MS: Final = LEASE_MS + 5_000
"""A route as old as this is followed by every router: those that did not hear of it have lost their lease."""


class Asked(msgspec.Struct, frozen=True):
    """What a route asked for: weights and rules, since when routers have been told without a break."""

    epoch: int
    since_ms: int
    weights_ppm: dict[str, int]
    rules: tuple[Rule, ...] = ()
    shadows: tuple[str, ...] = ()
    """Versions that get copies: who meets them was not split."""

    def weights(self, segment: str) -> tuple[int, dict[str, int]]:
        """The first rule that names the segment and its weights; without one -1 and the route's."""
        for index, rule in enumerate(self.rules):
            if segment in rule.segments or "*" in rule.segments:
                return index, rule.weights_ppm
        return -1, self.weights_ppm


class SplitSeen(msgspec.Struct, frozen=True, eq=False):
    """What is known of the split of one release.

    Parameters
    ----------
    asked : the newest EPOCHS_KEPT routes, oldest first.
    published_ms : when the newest was last sent, Unix ms of log time.
    counted : uint64, ascending: hashes of the units that have been counted, at most UNITS_KEPT.
    up_to : larger hashes are not counted.
    ratio : of what was counted.
    checked, misplaced : units that a canary owned or answered, and those that another version answered than the owner.
    epochs_told : some unit has named its epoch: the routers do, and leave it out only when no route was in force.
    ticked_ms : when the last tick came, Unix ms of log time: then a worker was there to renew routes. 0 before any, and
        where nobody ticks.
    """

    ratio: SampleRatioState
    asked: tuple[Asked, ...] = ()
    published_ms: int = 0
    counted: Hashes = msgspec.field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    up_to: int = 2**64 - 1
    checked: int = 0
    misplaced: int = 0
    epochs_told: bool = False
    ticked_ms: int = 0


class _Unit(msgspec.Struct, frozen=True):
    """A unit that is seen for the first time, with the route that led it."""

    version: str
    segment: str
    bucket: int
    asked: Asked


def start_split(plan: Plan) -> SplitSeen:
    """No route and no unit."""
    return SplitSeen(SampleRatio(plan.canaries).start())


def follow(split: SplitSeen, route: Route) -> SplitSeen:
    """After a route was sent to the routers, for the first time or again.

    When it is sent again after a pause, routers may have lost their lease meanwhile: it counts as new.
    """
    now_ms, known = route.issued_at_ms, split.asked
    if not known or known[-1].epoch != route.epoch:
        known = (*known, Asked(route.epoch, now_ms, dict(route.weights_ppm), route.rules, tuple(route.shadow_ppm)))[
            -EPOCHS_KEPT:
        ]
    elif now_ms - split.published_ms > 2 * RENEW_MS:
        known = _begun_anew(known, now_ms)
    return msgspec.structs.replace(split, asked=known, published_ms=now_ms)


def ticked(split: SplitSeen, now_ms: int) -> SplitSeen:
    """After a tick at ``now_ms``, Unix ms of log time.

    Without ticks no worker was there, whatever its fold says afterwards of routes that it renewed at those log times:
    the route in force counts as new when they come again.
    """
    away = split.ticked_ms and now_ms - split.ticked_ms > 2 * RENEW_MS
    known = _begun_anew(split.asked, now_ms) if away else split.asked
    return msgspec.structs.replace(split, asked=known, ticked_ms=now_ms)


def _begun_anew(known: tuple[Asked, ...], now_ms: int) -> tuple[Asked, ...]:
    return (*known[:-1], *(msgspec.structs.replace(newest, since_ms=now_ms) for newest in known[-1:]))


def see(plan: Plan, split: SplitSeen, units: UnitsSeen, *, now_ms: int) -> SplitSeen:
    """After the sample of units of one beat that ended at ``now_ms``, Unix ms of log time.

    A unit is counted at the first request that says under which route it was sent: by its epoch or, where nobody tells
    epochs, when the route in force has been so for longer than routers may lag. Where they are told, a unit without one
    was answered by the fallback of a router whose lease had run out: a worker that was away for longer than a lease
    reads that later, at a log time at which its routes look unbroken.
    """
    if not units.version:
        return split
    if not split.epochs_told and (units.epoch >= 0).any():
        split = msgspec.structs.replace(split, epochs_told=True)
    fresh = np.flatnonzero((units.hash <= np.uint64(split.up_to)) & ~np.isin(units.hash, split.counted))
    versions = {plan.baseline, *plan.canaries}
    by_epoch = {asked.epoch: asked for asked in split.asked}
    chosen: list[int] = []
    found: list[_Unit] = []
    for index in fresh.tolist():
        epoch = int(units.epoch[index])
        asked = by_epoch.get(epoch) if split.epochs_told else _settled(split, now_ms)
        if asked is None or units.version[index] not in versions or units.version[index] in asked.shadows:
            continue
        bucket = int(units.bucket[index]) if epoch >= 0 else -1
        chosen.append(index)
        found.append(_Unit(units.version[index], units.segment[index], bucket, asked))
    if not found:
        return split
    test = SampleRatio(plan.canaries)
    owners = [_owner(plan, unit) for unit in found]
    tell = [(unit, owner) for unit, owner in zip(found, owners, strict=True) if owner is not None]
    tell = [(unit, owner) for unit, owner in tell if {unit.version, owner} - {plan.baseline}]
    split = msgspec.structs.replace(
        split,
        ratio=test.observe(split.ratio, _batch(plan, found)),
        checked=split.checked + len(tell),
        misplaced=split.misplaced + sum(unit.version != owner for unit, owner in tell),
    )
    return _kept(split, np.union1d(split.counted, units.hash[chosen]))


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


def _look(plan: Plan, split: SplitSeen) -> _Look | None:
    if not split.ratio.n.any():
        return None
    test = SampleRatio(plan.canaries)
    name = plan.canaries[int(test.by_canary(split.ratio).argmax())]
    seen = test.split(split.ratio, name)
    if seen.share is None or seen.asked is None:
        return None
    misplaced = log_misplaced(split.misplaced, split.checked)
    return _Look(name, seen.units, seen.share, seen.asked, test.log_evidence(split.ratio), misplaced)


def split_broken(plan: Plan, split: SplitSeen) -> bool:
    """Whether :func:`split_evidence` is an ERROR, without its words: it is asked at every beat."""
    look = _look(plan, split)
    return look is not None and (look.wrong or look.off)


def split_evidence(plan: Plan, split: SplitSeen) -> Evidence | None:
    """What the split looks like, in one row; None before any unit was counted.

    ERROR when chance makes a healthy split look so in at most one of 1 / ALPHA releases. A canary that has not
    answered anybody is silent, which is another matter (:mod:`releases.limits`).
    """
    look = _look(plan, split)
    if look is None:
        return None
    said = f"{METRIC}: {percentage(look.share)} of {look.units:,} users went to {look.canary}"
    sentence = f"{said}, {percentage(look.asked)} were asked for"
    if look.wrong:
        sentence = (
            f"{METRIC}: {split.misplaced:,} of {split.checked:,} users of the canaries are not on the version that "
            "their route gives them; nothing that is measured of this split can be trusted"
        )
    elif look.off:
        sentence += f"; {once_in(look.ratio)}, so nothing that is measured of this split can be trusted"
    return Evidence(
        metric=METRIC,
        segment="",
        version=look.canary,
        detector=SampleRatio.NAME,
        detector_version=SampleRatio.VERSION,
        role="gate",
        verdict=Verdict.ERROR if look.wrong or look.off else Verdict.PASS,
        n_baseline=round(look.units * (1.0 - look.share)),
        n_canary=round(look.units * look.share),
        sentence=sentence,
        baseline=look.asked,
        canary=look.share,
        effect=look.share - look.asked,
        log_evidence=max(look.ratio, look.misplaced),
        alpha=ALPHA,
    )


def _settled(split: SplitSeen, now_ms: int) -> Asked | None:
    """The route that every router follows now, if there is one."""
    newest = split.asked[-1] if split.asked else None
    if newest is None or now_ms - newest.since_ms < SETTLED_MS:
        return None
    told_ms = min(split.published_ms, split.ticked_ms or now_ms)
    return newest if now_ms - told_ms <= 2 * RENEW_MS else None


def _batch(plan: Plan, found: list[_Unit]) -> SplitBatch:
    """Units by epoch and rule."""
    strata: dict[tuple[int, int], tuple[dict[str, int], dict[str, float]]] = {}
    for unit in found:
        rule, weights = unit.asked.weights(unit.segment)
        asked = {version: weight / PPM for version, weight in weights.items()}
        units, _ = strata.setdefault((unit.asked.epoch, rule), ({}, asked))
        units[unit.version] = units.get(unit.version, 0) + 1
    return SplitBatch.of(list(strata.values()), canaries=plan.canaries)


def _owner(plan: Plan, unit: _Unit) -> str | None:
    """The version that owns the unit's bucket under its route; None when that is not known here.

    Canary i of k, in the order of their UTF-8 bytes, has the home [i 10⁶/k, (i+1) 10⁶/k) and grows in it, an even one
    from its low end, an odd one from its high end (``docs/splitting.md``). Beyond a home, owners depend on the others'
    shares: those routes are left to the ratio.
    """
    _, weights = unit.asked.weights(unit.segment)
    canaries = sorted(plan.canaries)
    if unit.bucket < 0:
        return None
    owner = plan.baseline
    for index, canary in enumerate(canaries):
        low, high = index * PPM // len(canaries), (index + 1) * PPM // len(canaries)
        share = weights.get(canary, 0)
        if share > high - low:
            return None
        first, last = (low, low + share) if index % 2 == 0 else (high - share, high)
        owner = canary if first <= unit.bucket < last else owner
    return owner


def _kept(split: SplitSeen, counted: Hashes) -> SplitSeen:
    up_to = split.up_to
    while counted.size > UNITS_KEPT:
        up_to //= 2
        counted = counted[counted <= np.uint64(up_to)]
    return msgspec.structs.replace(split, counted=counted, up_to=up_to)
