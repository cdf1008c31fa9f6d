"""The routes in force: is each lease renewed?"""

from __future__ import annotations

import time

from schemas.route import RENEW_MS, Route
from streams.doctor.finding import Finding, fine, problem, warning
from streams.route_reader import routes_and_strays
from streams.settings import Settings
from streams.topics import CONTROL

ABOUT = "leases"


def examine_leases(settings: Settings) -> list[Finding]:
    """Routes of running releases whose lease has run out, or nearly so."""
    newest, unreadable = routes_and_strays(settings)
    now_ms = time.time_ns() // 1_000_000
    running = [route for route in newest.values() if not route.state.final]
    findings = [one for route in running if (one := _lease(route, now_ms)) is not None]
    if unreadable:
        found = f"{settings.topic(CONTROL)}: {unreadable} record(s) that are no routes"
        findings.append(problem(ABOUT, found, "find who writes there; only the worker may"))
    return findings or [
        fine(ABOUT, f"{len(newest)} service(s) have routes, {len(running)} of them of a running release")
    ]


def _lease(route: Route, now_ms: int) -> Finding | None:
    age_ms = now_ms - route.issued_at_ms
    said = f"{route.service}: the route of release {route.release_id} was last renewed {age_ms / 1000:.0f} s ago"
    if age_ms > route.lease_ms:
        remedy = "see why no worker judges it: /readyz, and `flow` above"
        return problem(ABOUT, f"{said}; its lease has run out and routers serve {route.fallback}", remedy)
    if age_ms > 2 * RENEW_MS:
        return warning(ABOUT, f"{said}; it should be every {RENEW_MS // 1000} s", "see the worker's log")
    return None
