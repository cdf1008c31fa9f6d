"""`serinus route haproxy`: let a running HAProxy split by the route in force."""

from __future__ import annotations

import threading
from pathlib import Path

import click

from streams.cli.options import settings_option
from streams.routers.follower import follow
from streams.routers.haproxy import HAProxy
from streams.settings_load import Loaded
from streams.supervisor import stop_on_signals


@click.command()
@click.argument("service")
@click.option("--fallback", metavar="VERSION", required=True, help="Who serves while there is no route.")
@click.option(
    "--socket",
    "path",
    type=click.Path(path_type=Path),
    default=Path("/run/haproxy/admin.sock"),
    show_default=True,
    help="HAProxy's `stats socket`, with `level admin`.",
)
@click.option(
    "--map", "map_path", metavar="FILE", required=True, help="The map, spelled as in HAProxy's configuration."
)
@settings_option
def haproxy(loaded: Loaded, service: str, fallback: str, path: Path, map_path: str) -> int:
    """Keep what is in force for a service in a running HAProxy, which splits by the same buckets as the client library.

    HAProxy needs deploy/haproxy/serinus.lua; docs/routers.md shows its configuration. It watches the lease itself: when
    this process dies or is stopped, the share stays until the lease ends, and then everybody is on the fallback.
    """
    stop = threading.Event()
    stop_on_signals(stop)
    follow(loaded.settings, service, fallback, HAProxy(path, map_path), stop)
    return 0
