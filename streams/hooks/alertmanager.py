"""A decision as alerts, for ``POST /api/v2/alerts`` of Alertmanager."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from schemas.decision import Action, Decision, State

HELD, STOPPED, ROLLED_BACK = "SerinusReleaseHeld", "SerinusCanaryStopped", "SerinusReleaseRolledBack"
SEVERITY = {HELD: "warn", STOPPED: "page", ROLLED_BACK: "page"}

LASTS_MS = 86_400_000
"""Alertmanager ends an alert that says no end after five minutes, and nobody repeats ours."""


def alertmanager_body(decision: Decision) -> bytes:
    """An alert of each canary that is held, stopped or rolled back, and the end of the hold's when it is over.

    The labels of a release's alerts are the same from its first to its last decision: by them Alertmanager knows what
    has ended. What was stopped or rolled back is so for good, so its alert ends by itself after a day.
    """
    held = () if decision.state is not State.HOLDING else set(decision.canaries) - set(decision.stopped)
    alerts = [_alert(decision, HELD, version, fires=version in held) for version in decision.canaries]
    match decision.action:
        case Action.STOP:
            alerts += [_alert(decision, STOPPED, version, fires=True) for version in decision.stopped]
        case Action.ROLLBACK:
            alerts += [_alert(decision, ROLLED_BACK, version, fires=True) for version in decision.canaries]
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
