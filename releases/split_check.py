"""Is the split as the routes asked? Each unit is counted once; a broken split makes every verdict void."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np

from detectors.arrays import Flags, Hashes, Ints
from detectors.sequential.sample_ratio import SampleRatio, SampleRatioState
from detectors.split_batches import SplitBatch
from detectors.units_seen import UnitsSeen
from schemas.plan import Plan
from schemas.route import LEASE_MS, RENEW_MS, Route
from schemas.rule import Rule
from schemas.units import PPM

EPOCHS_KEPT: Final = 64
"""Routes of a release that are remembered; units that name an older epoch are left out."""

UNITS_KEPT: Final = 8_192
"""Hashes of units that have been counted. When there are more, only units with smaller hashes are counted from then on:
half of them, whichever version serves them, and what was counted stays."""

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


class Place(msgspec.Struct, frozen=True, eq=False):
    """What was counted of the units of one segment: as of all of them in :class:`SplitSeen`."""

    ratio: SampleRatioState
    checked: int = 0
    misplaced: int = 0


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
    places : the same by segment, to say where a split is broken.
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
    places: dict[str, Place] = {}


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
    fresh = np.flatnonzero((units.hash <= np.uint64(split.up_to)) & ~_within(split.counted, units.hash))
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
    new = {
        segment: _counted(plan, [unit for unit in found if unit.segment == segment])
        for segment in dict.fromkeys(unit.segment for unit in found)
    }
    whole = together(plan, [Place(split.ratio, split.checked, split.misplaced), *new.values()])
    known = split.places
    places = {at: together(plan, [known[at], place] if at in known else [place]) for at, place in new.items()}
    split = msgspec.structs.replace(
        split, ratio=whole.ratio, checked=whole.checked, misplaced=whole.misplaced, places=known | places
    )
    return _kept(split, _with(split.counted, units.hash[chosen]))


def _within(ascending: Hashes, asked: Hashes) -> Flags:
    """[m] which of those that are asked for are there. A search: thousands are counted, and a beat asks for a few."""
    after: Ints = ascending.searchsorted(asked, side="right")
    there: Flags = after > ascending.searchsorted(asked)
    return there


def _with(ascending: Hashes, new: Hashes) -> Hashes:
    """With some that are not there yet, ascending as well."""
    return np.insert(ascending, ascending.searchsorted(new), new)


def _settled(split: SplitSeen, now_ms: int) -> Asked | None:
    """The route that every router follows now, if there is one."""
    newest = split.asked[-1] if split.asked else None
    if newest is None or now_ms - newest.since_ms < SETTLED_MS:
        return None
    told_ms = min(split.published_ms, split.ticked_ms or now_ms)
    return newest if now_ms - told_ms <= 2 * RENEW_MS else None


def together(plan: Plan, places: Iterable[Place]) -> Place:
    """What was counted of different units, as one."""
    test = SampleRatio(plan.canaries)
    whole = Place(test.start())
    for place in places:
        ratio = test.merge(whole.ratio, place.ratio)
        whole = Place(ratio, whole.checked + place.checked, whole.misplaced + place.misplaced)
    return whole


def _counted(plan: Plan, found: list[_Unit]) -> Place:
    test = SampleRatio(plan.canaries)
    owners = [_owner(plan, unit) for unit in found]
    tell = [(unit, owner) for unit, owner in zip(found, owners, strict=True) if owner is not None]
    tell = [(unit, owner) for unit, owner in tell if {unit.version, owner} - {plan.baseline}]
    ratio = test.observe(test.start(), _batch(plan, found))
    return Place(ratio, len(tell), sum(unit.version != owner for unit, owner in tell))


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
