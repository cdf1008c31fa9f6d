"""`serinus replay`."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import click

from releases.shadowing import as_tried
from schemas.decision import Decision
from streams.cli.options import json_option
from streams.cli.output import print_json
from streams.cli.plan_file import read_plan
from streams.cli.release_status import exit_code
from streams.cli.release_view import decision_line, evidence_line
from streams.offline.event_files import read_lines
from streams.offline.outcome import DecidedBy
from streams.offline.replay import Summary, is_inputs, replay_inputs
from streams.offline.replay import replay as replay_events


@click.command()
@click.argument("files", metavar="EVENTS…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--plan", "plan_file", metavar="PLAN", required=True, type=click.Path(path_type=Path), help="The plan.")
@json_option
def replay(files: tuple[Path, ...], plan_file: Path, as_json: bool) -> int:
    """Judge recorded events by the very code of the pipeline.

    EVENTS are files of JSON lines, plain or gzipped, `-` is the standard input; also what `serinus record` or `kcat -J`
    wrote. The release starts at its service's first event. Exit 1 if it was rolled back, or nothing started one.
    """
    plan = as_tried(read_plan(plan_file))

    def tell(decision: Decision) -> None:
        if as_json:
            print_json(decision)
            return
        click.echo(decision_line(decision))
        for item in decision.evidence:
            click.echo(evidence_line(item))

    lines = read_lines(files)
    first = next(lines, None)
    if first is None:
        raise click.UsageError(f"{', '.join(map(str, files))}: found no line; allowed are events, one a line")
    play = replay_inputs if is_inputs(first) else replay_events
    summary = play(chain([first], lines), plan, tell)
    if as_json:
        print_json(summary)
    else:
        _print_summary(summary)
    return exit_code(summary.state)


def _print_summary(summary: Summary) -> None:
    state = summary.state.value if summary.state else "never started"
    click.echo(f"{state}{_because(summary.decided_by)}: {summary.reason}")
    requests = ", ".join(f"{version} {count:,}" for version, count in summary.requests.items())
    click.echo(f"{summary.events:,} events; requests: {requests or 'none'}; {summary.dead:,} dead")
    for reason, count in summary.dead_reasons.items():
        click.echo(f"  {count:,} × {reason}")


def _because(found: DecidedBy | None) -> str:
    if found is None:
        return ""
    return f" by {found.metric}{f' in segment {found.segment}' if found.segment else ''}"
