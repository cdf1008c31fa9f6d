"""`serinus worker`."""

from __future__ import annotations

import click

from streams.cli.options import parent_option, settings_option
from streams.settings_load import Loaded
from streams.supervisor import follow_parent
from streams.worker.app import run_worker


@click.command()
@settings_option
@parent_option
def worker(loaded: Loaded, parent: int | None) -> int:
    """Run the worker until Ctrl-C: reports in, decisions and routes out, HTTP for operators."""
    follow_parent(parent)
    return run_worker(loaded.settings)
