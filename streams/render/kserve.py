"""KServe's InferenceService: one canary, the newest revision, with a whole percentage."""

from __future__ import annotations

from typing import Any

from schemas.units import PPM, Share
from streams.in_force import InForce
from streams.render.groups import InexpressibleError, refuse_copies, versions
from streams.render.placement import metadata

PPM_OF_A_PERCENT = PPM // 100


def inference_service(now: InForce, *, latest: str, name: str, namespace: str | None) -> dict[str, Any]:
    """What is in force as the part of an InferenceService that says how much its newest revision serves.

    The rest, the models above all, belongs to somebody else; server-side apply keeps what a document does not name.

    Parameters
    ----------
    latest : the version that the newest revision runs. After a promotion it is the fallback, and has the rest.

    Raises
    ------
    InexpressibleError : rules by segment, several canaries, or shares of versions that have no revision left.

    Examples
    --------
    >>> now = InForce("chat", {"v1": 974_001, "v2": 25_999}, "v1", epoch=7, release_id="chat-1")
    >>> inference_service(now, latest="v2", name="chat", namespace=None)["spec"]
    {'predictor': {'canaryTrafficPercent': 2}}
    """
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": metadata(now, name, namespace),
        "spec": {"predictor": {"canaryTrafficPercent": _percent(now, latest)}},
    }


def lost_to_rounding(now: InForce) -> str:
    """What a canary does not get because percentages are whole, in a sentence; empty if nothing is lost.

    >>> lost_to_rounding(InForce("chat", {"v1": 995_000, "v2": 5_000}, "v1"))
    'v2 gets 0% instead of 0.5%: KServe knows whole percentages'
    """
    canary = versions(now)[0]
    asked = now.weights_ppm.get(canary, 0)
    given = asked // PPM_OF_A_PERCENT * PPM_OF_A_PERCENT
    if canary == now.fallback or asked == given:
        return ""
    return f"{canary} gets {Share(given).text()} instead of {Share(asked).text()}: KServe knows whole percentages"


def _percent(now: InForce, latest: str) -> int:
    refuse_copies(now)
    if now.rules:
        raise InexpressibleError("it has rules by segment, and an InferenceService knows none")
    canaries = versions(now)[:-1]
    if len(canaries) > 1:
        raise InexpressibleError(f"it has the canaries {', '.join(canaries)}; an InferenceService has one")
    if canaries and latest not in (canaries[0], now.fallback):
        raise InexpressibleError(
            f"the newest revision is said to run {latest}, and it is for {now.fallback} and {canaries[0]}"
        )
    # A canary's share is rounded down, whichever of the two revisions it is: never more than was asked for.
    canary = now.weights_ppm.get(canaries[0], 0) // PPM_OF_A_PERCENT if canaries else 0
    return 100 - canary if latest == now.fallback else canary
