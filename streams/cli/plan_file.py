"""Reading the plan file, or the folder of plans, that a command names."""

from __future__ import annotations

from pathlib import Path

import click

from schemas.file_errors import RuleError, parse_document
from schemas.plan import Plan, check_rules, parse_plan


def read_plan(path: Path) -> Plan:
    """Read a plan file; ``-`` is the standard input.

    Raises
    ------
    schemas.file_errors.FileError : the plan is wrong.
    click.UsageError : the file cannot be read.
    """
    return parse_plan(_text(path), file=str(path))


def read_plans(folder: Path) -> dict[Path, Plan]:
    """Read every ``*.yaml`` and ``*.yml`` of a folder, in the order of their names; folders in it are not looked into.

    Raises
    ------
    schemas.file_errors.FileError : a plan is wrong, or the second one of its service.
    click.UsageError : a file cannot be read, or there is none.
    """
    if not folder.is_dir():
        raise click.UsageError(f"{folder}: not a folder; allowed is a folder of plans")
    plans: dict[Path, Plan] = {}

    def check(plan: Plan) -> None:
        check_rules(plan)
        for other, known in plans.items():
            if known.service == plan.service:
                what = f"found {plan.service!r}, which {other} is for too; allowed is one plan for each service"
                raise RuleError("$.service", what)

    for path in sorted(path for path in folder.iterdir() if path.suffix in {".yaml", ".yml"} and path.is_file()):
        plans[path] = parse_document(_text(path), Plan, file=str(path), rules=check)
    if not plans:
        raise click.UsageError(f"{folder}: found no file *.yaml or *.yml; allowed are plans, one for each service")
    return plans


def _text(path: Path) -> str:
    try:
        return click.get_text_stream("stdin").read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise click.UsageError(f"{path}: not readable: {what}") from error
