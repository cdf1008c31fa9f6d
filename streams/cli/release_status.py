"""`serinus release status`: where a service's latest release stands."""

from __future__ import annotations

import time

import click

from schemas.decision import State
from schemas.route import Route
from streams.cli.options import json_option, settings_option
from streams.cli.output import print_json, shares
from streams.cli.release_log import Standing, standing
from streams.cli.release_view import decision_line, evidence_line
from streams.cli.table import EXIT_DONE, EXIT_NO
from streams.kafka import require_broker
from streams.settings_load import Loaded


@click.command()
@click.argument("service")
@settings_option
@json_option
def status(loaded: Loaded, service: str, as_json: bool) -> int:
    """Show where the latest release of a service stands.

    Exit 1 if it was rolled back or aborted, or if there is none.
    """
    require_broker(loaded.settings)
    found = standing(loaded.settings, service)
    latest = found.latest
    if as_json:
        _print_status(service, found)
    elif latest is None:
        click.echo(f"{service}: no release")
    else:
        click.echo(decision_line(latest))
        for item in latest.evidence:
            click.echo(evidence_line(item))
        click.echo(f"{latest.release_id}, epoch {latest.epoch}")
        if found.route is not None:
            click.echo(_route_line(found.route, time.time_ns() // 1_000_000))
    return exit_code(latest.state if latest else None)


def exit_code(state: State | None) -> int:
    """1 for "no": rolled back, aborted, or no release at all."""
    return EXIT_NO if state in {None, State.ROLLED_BACK, State.ABORTED} else EXIT_DONE


def _print_status(service: str, found: Standing) -> None:
    latest = found.latest
    print_json(
        {
            "type": "status",
            "service": service,
            "release_id": latest.release_id if latest else None,
            "state": latest.state.value if latest else None,
            "decision": latest,
            "route": found.route,
        }
    )


def _route_line(route: Route, now_ms: int) -> str:
    age_s = max(0, now_ms - route.issued_at_ms) / 1000
    if age_s * 1000 <= route.lease_ms or route.state.final:
        return f"route: {shares(route.weights_ppm)}, issued {age_s:.0f} s ago"
    return (
        f"route: the lease ran out {age_s - route.lease_ms / 1000:.0f} s ago, routers are back on {route.fallback};"
        " is `serinus worker` running?"
    )
