"""Options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path

import click

from streams import logs
from streams.settings_load import Loaded, load


def _load(context: click.Context, _parameter: click.Parameter, config: Path | None) -> Loaded:
    """The command's own --config, else the one before the command, else SERINUS_CONFIG."""
    loaded = load(config or context.find_root().obj, os.environ)
    logs.configure(loaded.settings)
    return loaded


settings_option = click.option(
    "--config",
    "loaded",
    type=click.Path(path_type=Path),
    callback=_load,
    help="YAML file with settings; also SERINUS_CONFIG.",
)
"""Reads the configuration; the command receives it as ``loaded``."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON lines on stdout and nothing else there.")
"""The command receives ``as_json``."""


parent_option = click.option("--parent", type=int, hidden=True, help="Stop when this process is no longer the parent.")
"""For children of the supervisor: a supervisor that was killed must not leave a pipeline behind."""
