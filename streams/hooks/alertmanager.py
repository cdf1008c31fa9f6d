"""A decision as alerts, for ``POST /api/v2/alerts`` of Alertmanager."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from schemas.decision import Action, Decision

HELD, ROLLED_BACK = "SerinusReleaseHeld", "SerinusReleaseRolledBack"
SEVERITY = {HELD: "warn", ROLLED_BACK: "page"}

LASTS_MS = 86_400_000
"""Alertmanager ends an alert that says no end after five minutes, and nobody repeats ours."""


def alertmanager_body(decision: Decision) -> bytes:
    """An alert of each canary that a hold or a rollback begins, and the end of the hold's with everything else.

    The labels of a release's alerts are the same from its first to its last decision: by them Alertmanager knows what
    has ended. A rollback is final, so its alert ends by itself after a day.
    """
    ended = [_alert(decision, HELD, version, fires=False) for version in decision.canaries]
    match decision.action:
        case Action.HOLD:
            alerts = [_alert(decision, HELD, version, fires=True) for version in decision.canaries]
        case Action.ROLLBACK:
            alerts = [*ended, *(_alert(decision, ROLLED_BACK, version, fires=True) for version in decision.canaries)]
        case _:
            alerts = ended
    return msgspec.json.encode(alerts)


def _alert(decision: Decision, name: str, version: str, *, fires: bool) -> dict[str, object]:
    labels = {
        "alertname": name,
        "service": decision.service,
        "release": decision.release_id,
        "version": version,
        "severity": SEVERITY[name],
    }
    times = {"endsAt": _time(decision.at_ms)}
    if fires:
        times = {"startsAt": _time(decision.at_ms), "endsAt": _time(decision.at_ms + LASTS_MS)}
    return {"labels": labels, "annotations": {"summary": decision.reason, "actor": decision.actor}, **times}


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
