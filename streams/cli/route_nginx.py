"""`serinus route nginx`: let a running nginx split by the route in force."""

from __future__ import annotations

import re
import shlex
import threading
from pathlib import Path

import click

from streams.cli.options import settings_option
from streams.routers.follower import follow
from streams.routers.nginx import Nginx
from streams.settings_load import Loaded
from streams.supervisor import stop_on_signals


@click.command()
@click.argument("service")
@click.option("--fallback", metavar="VERSION", required=True, help="Who serves while there is no route.")
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    required=True,
    help="What nginx includes in its `http` block; written at each change.",
)
@click.option(
    "--nginx",
    "words",
    metavar="COMMAND",
    default="nginx",
    show_default=True,
    help="To which -t and -s reload are added.",
)
@click.option(
    "--prefix", default="serinus", show_default=True, help="Of the variables; one for each service of one nginx."
)
@settings_option
def nginx(loaded: Loaded, service: str, fallback: str, file: Path, words: str, prefix: str) -> int:
    """Keep what is in force for a service in a running nginx: split_clients in a file, `nginx -t`, a reload.

    docs/routers.md shows nginx's configuration. nginx's hash is its own, and 0.01 % its finest share. It knows no
    lease: the baseline is written at the start and the end of this process, and by another when this one is killed.
    """
    command = shlex.split(words)
    if not command:
        raise click.UsageError("--nginx is empty")
    if not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", prefix):
        raise click.UsageError(f"--prefix is {prefix!r}; allowed: letters, digits and _, a letter first")
    stop = threading.Event()
    stop_on_signals(stop)
    carrier = Nginx(command, file, prefix)
    try:
        carrier.begin(service, fallback)
        follow(loaded.settings, service, fallback, carrier, stop)
    finally:
        carrier.end()
    return 0
