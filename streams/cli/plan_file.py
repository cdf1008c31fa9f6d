"""Reading the plan file that a command names."""

from __future__ import annotations

from pathlib import Path

import click

from schemas.plan import Plan, parse_plan


def read_plan(path: Path) -> Plan:
    """Read a plan file; ``-`` is the standard input.

    Raises
    ------
    schemas.file_errors.FileError : the plan is wrong.
    click.UsageError : the file cannot be read.
    """
    try:
        text = click.get_text_stream("stdin").read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise click.UsageError(f"{path}: not readable: {what}") from error
    return parse_plan(text, file=str(path))
