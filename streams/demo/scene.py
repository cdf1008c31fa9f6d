"""What the demo knows at a moment: its services, what was decided, what the pipeline says now."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.decision import Action, Decision, State
from schemas.evidence import Verdict
from streams.demo.service import Service


class Release:
    """One service of the demo and its release, as decisions tell it."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.decisions: list[Decision] = []
        self.verdict: Verdict | None = None
        """What the worker says now; None until it has said anything."""
        self.reason = ""

    @property
    def name(self) -> str:
        return self.service.cast.name

    @property
    def started(self) -> bool:
        return bool(self.decisions)

    @property
    def state(self) -> State | None:
        return self.decisions[-1].state if self.decisions else None

    @property
    def final(self) -> bool:
        return self.state is not None and self.state.final

    @property
    def as_expected(self) -> bool:
        return self.state is not None and self.state.value == self.service.cast.expected

    @property
    def share_ppm(self) -> int:
        """The canary's share by the newest decision."""
        return self._shares()[-1] if self.decisions else 0

    @property
    def share_ppm_max(self) -> int:
        """The canary's largest share so far."""
        return max(self._shares(), default=0)

    @property
    def share_ppm_before(self) -> int:
        """The canary's share just before the newest decision: what the end of a release ended."""
        return self._shares()[-2] if len(self.decisions) > 1 else 0

    @property
    def lasted_s(self) -> float | None:
        """From the start of the release to its end, s, by the time of the pipeline; None while it goes on."""
        if not self.final:
            return None
        return (self.decisions[-1].at_ms - self.decisions[0].at_ms) / 1000

    def add(self, decision: Decision) -> None:
        """Take a decision; one that is not newer by its epoch was published again and changes nothing."""
        if not self.decisions and decision.action is not Action.START:
            return
        if not self.decisions or decision.epoch > self.decisions[-1].epoch:
            self.decisions.append(decision)
            self.verdict, self.reason = decision.verdict, decision.reason

    def _shares(self) -> list[int]:
        return [decision.weights_ppm.get(self.service.cast.canary, 0) for decision in self.decisions]


class Scene:
    """All releases of the demo.

    Parameters
    ----------
    services : as they serve.
    url : of the worker's HTTP.
    """

    def __init__(self, services: Sequence[Service], url: str) -> None:
        self.releases = [Release(service) for service in services]
        self.url = url

    @property
    def started(self) -> bool:
        """Whether every release has begun."""
        return all(release.started for release in self.releases)

    @property
    def decided(self) -> bool:
        """Whether every release has ended."""
        return all(release.final for release in self.releases)

    @property
    def succeeded(self) -> bool:
        """Whether every release has ended as it should."""
        return all(release.as_expected for release in self.releases)

    def add(self, decision: Decision) -> None:
        """Take a decision of any service."""
        for release in self.releases:
            if release.name == decision.service:
                release.add(decision)
