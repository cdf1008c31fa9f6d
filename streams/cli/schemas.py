"""`serinus schemas`."""

from __future__ import annotations

from pathlib import Path

import click

from schemas.documents import documents
from streams.cli.options import json_option
from streams.cli.output import print_json
from streams.cli.table import EXIT_DONE, EXIT_NO
from streams.cli.version import serinus_version


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("docs/schemas"),
    show_default=True,
    help="Directory of the documents.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a document differs from the types.")
@json_option
def schemas(out: Path, check: bool, as_json: bool) -> int:
    """Write the JSON Schema of every record and file, and the AsyncAPI document of all topics."""
    differing = 0
    for name, text in sorted(documents(serinus_version()).items()):
        path = out / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            state = "unchanged"
        elif check:
            state, differing = ("differs" if path.exists() else "missing"), differing + 1
        else:
            out.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            state = "written"
        if as_json:
            print_json({"type": "document", "path": str(path), "state": state})
        elif state != "unchanged":
            click.echo(f"{path}: {state}")
    if not as_json and check:
        click.echo(f"{differing} documents differ from the types" if differing else "all documents match the types")
    return EXIT_NO if differing else EXIT_DONE
