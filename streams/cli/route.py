"""`serinus route`: routes for routers that cannot follow Kafka themselves."""

from __future__ import annotations

import click

from streams.cli.route_haproxy import haproxy
from streams.cli.route_nginx import nginx
from streams.cli.route_render import render
from streams.cli.route_watch import watch


@click.group()
def route() -> None:
    """Carry routes to routers that do not follow Kafka themselves."""


route.add_command(haproxy)
route.add_command(nginx)
route.add_command(watch)
route.add_command(render)
