"""`serinus config`."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from streams.cli.options import json_option, settings_option
from streams.cli.output import print_json
from streams.settings_load import Loaded


@click.command()
@settings_option
@json_option
def config(loaded: Loaded, as_json: bool) -> None:
    """Show the settings in force and where each value comes from; secrets are hidden."""
    rows = []
    for name, value in loaded.settings.shown().items():
        if name == "kafka":
            rows += [(f"kafka.{key}", entry, loaded.sources[f"kafka.{key}"]) for key, entry in value.items()]
        else:
            rows.append((name, value, loaded.sources[name]))
    if as_json:
        for name, value, source in rows:
            print_json({"type": "setting", "name": name, "value": value, "source": source})
        return
    table = Table("setting", "value", "from", box=None, pad_edge=False)
    for name, value, source in rows:
        table.add_row(name, str(value).lower() if isinstance(value, bool) else str(value), source)
    Console(soft_wrap=True, highlight=False).print(table)
