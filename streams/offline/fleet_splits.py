"""Whether the split of each release of a fleet is as its routes ask: the worker's own check, fed with fresh users."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detectors.arrays import Flags, Hashes, Ints
from detectors.units_seen import UnitsSeen
from releases.split_check import SplitSeen, follow, see, start_split
from releases.split_evidence import split_broken
from schemas.plan import Plan
from schemas.route import Route
from schemas.unit_hash import UNITS_SAMPLED_MAX
from streams.offline.fleet_requests import Dealt, Requests


class FleetSplits:
    """The split of each of some releases.

    Parameters
    ----------
    hashes : of the users of each release.
    route : the first one, which all of them have published.

    Attributes
    ----------
    broken : which releases cannot trust what they measure.
    """

    def __init__(self, plan: Plan, segments: Sequence[str], hashes: Sequence[Hashes], route: Route) -> None:
        self._plan, self._segments, self._hashes = plan, tuple(segments), list(hashes)
        self._splits: list[SplitSeen] = [follow(start_split(plan), route)] * len(hashes)
        self._epochs = np.full(len(hashes), route.epoch)
        # A user is looked at once: later the check itself would find that it knows the user.
        self._fresh = np.ones((len(hashes), max((one.size for one in hashes), default=0)), dtype=np.bool_)
        self.broken: Flags = np.zeros(len(hashes), dtype=np.bool_)

    def follow(self, release: int, route: Route) -> None:
        """A release has sent a route: it deals the requests from the next second on."""
        self._splits[release] = follow(self._splits[release], route)
        self._epochs[release] = route.epoch

    def observe(self, dealt: Dealt, *, now_ms: int) -> None:
        """The users of one second that ended at ``now_ms``, Unix ms of log time."""
        requests = dealt.requests
        fresh = self._fresh[requests.release, requests.user]
        edges = np.searchsorted(requests.release, np.arange(self._fresh.shape[0] + 1))
        for release in np.unique(requests.release[fresh]).tolist():
            own = slice(int(edges[release]), int(edges[release + 1]))
            split = self._splits[release] = self._seen(release, requests.take(own), dealt.canary[own], now_ms)
            self.broken[release] = split_broken(self._plan, split)

    def keep(self, releases: Ints) -> None:
        """Forget all but some releases, and number them anew."""
        self._splits = [self._splits[one] for one in releases.tolist()]
        self._hashes = [self._hashes[one] for one in releases.tolist()]
        self._epochs, self._fresh = self._epochs[releases], self._fresh[releases]
        self.broken = self.broken[releases]

    def _seen(self, release: int, requests: Requests, canary: Flags, now_ms: int) -> SplitSeen:
        hashes, first = np.unique(self._hashes[release][requests.user], return_index=True)
        hashes, first = hashes[:UNITS_SAMPLED_MAX], first[:UNITS_SAMPLED_MAX]
        fresh = self._fresh[release, requests.user[first]]
        hashes, first = hashes[fresh], first[fresh]
        self._fresh[release, requests.user[first]] = False
        versions = (self._plan.baseline, self._plan.canaries[0])
        units = UnitsSeen(
            hashes,
            tuple(versions[one] for one in canary[first].astype(np.int64).tolist()),
            tuple(self._segments[one] for one in requests.segment[first].tolist()),
            np.full(first.size, self._epochs[release]),
            requests.routed[first].astype(np.int64),
        )
        return see(self._plan, self._splits[release], units, now_ms=now_ms)
