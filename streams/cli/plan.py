"""`serinus plan check`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from releases.explain import explain
from streams.cli.options import json_option
from streams.cli.output import print_json
from streams.cli.plan_file import read_plan

_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(s|m|min|h)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600}


class RateType(click.ParamType):
    """A request rate such as ``50/s``; the command receives requests per second."""

    name = "N/s"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        match = _RATE.fullmatch(str(value).strip())
        if match is None or not float(match[1]) > 0:
            self.fail(f"found {value!r}; allowed is a rate above zero such as 50/s, 300/min or 1000/h", param, ctx)
        return float(match[1]) / _SECONDS[match[2]]


@click.group()
def plan() -> None:
    """Check and explain release plans."""


@plan.command()
@click.argument("file", metavar="PLAN", type=click.Path(path_type=Path))
@click.option("--rate", type=RateType(), help="Requests of the service, for the expected time: 50/s, 300/min.")
@json_option
def check(file: Path, rate: float | None, as_json: bool) -> None:
    """Check a plan and explain it in words."""
    parsed = read_plan(file)
    sentences = explain(parsed, rate)
    if as_json:
        print_json({"type": "plan", "service": parsed.service, "plan": parsed, "sentences": sentences})
        return
    for sentence in sentences:
        click.echo(sentence)
