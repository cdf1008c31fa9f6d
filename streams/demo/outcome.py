"""How the demo ended: a sentence per release for people, a record for programs."""

from __future__ import annotations

from typing import Any

from schemas.decision import Decision, State
from schemas.evidence import Verdict
from schemas.units import Share
from streams.demo.scene import Release, Scene

_ENDS = {State.ROLLED_BACK: "rolled back", State.PROMOTED: "promoted", State.ABORTED: "aborted"}
EXPECTED = {"rolled_back": "rolled back", "promoted": "promoted"}


def sentences(scene: Scene) -> list[str]:
    """What happened to each release, and whether it should have."""
    return [_sentence(release) for release in scene.releases]


def _sentence(release: Release) -> str:
    cast = release.service.cast
    who = f"{cast.name} {cast.canary}"
    if release.state is None:
        return f"{who}: its release was never started by the worker."
    if not release.final:
        return f"{who} was not decided in time; it should have been {EXPECTED[cast.expected]}. {release.reason}"
    said = f"{who} was {_ENDS[release.state]} after {release.lasted_s:.1f} s, at {_share(release.share_ppm_before)} of"
    said += f" the traffic: {because(release.decisions[-1])}."
    return said if release.as_expected else f"{said} It should have been {EXPECTED[cast.expected]}."


def because(decision: Decision) -> str:
    """The numbers behind a decision: of the gate that failed, or of all that passed."""
    rows = [row for row in decision.evidence if row.role == "gate"]
    failed = [row for row in rows if row.verdict is Verdict.FAIL]
    if failed:
        return failed[0].sentence
    return "; ".join(row.sentence for row in rows if row.verdict is decision.verdict) or decision.reason


def summary(scene: Scene, *, brokers: str, seconds: float) -> dict[str, Any]:
    """The last line of ``--json``.

    Parameters
    ----------
    brokers : the bootstrap servers, or ``embedded``.
    seconds : that the whole demo took.
    """
    return {
        "type": "summary",
        "succeeded": scene.succeeded,
        "brokers": brokers,
        "seconds": round(seconds, 1),
        "services": [
            {
                "service": release.name,
                "expected": release.service.cast.expected,
                "state": release.state.value if release.state else None,
                "decided_after_s": release.lasted_s,
                "canary_share_ppm_at_decision": release.share_ppm_before,
                "canary_share_ppm_max": release.share_ppm_max,
                "requests": release.service.tally.requests,
                "errors": release.service.tally.errors,
            }
            for release in scene.releases
        ],
    }


def _share(ppm: int) -> str:
    return Share(ppm).text().replace("%", " %")
