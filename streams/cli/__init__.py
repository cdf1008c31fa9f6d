"""The command `serinus`: the table of its commands. Each is imported only when it is called."""

from __future__ import annotations

from pathlib import Path

import click

from streams.cli.table import CommandTable, Entry

TABLE = {
    "demo": Entry("streams.cli.demo:demo", "Watch a bad canary being rolled back and a good one promoted."),
    "up": Entry("streams.cli.up:up", "Run the whole pipeline on this machine."),
    "ingest": Entry("streams.cli.ingest:ingest", "Run ingest: events in, reports out."),
    "worker": Entry("streams.cli.worker:worker", "Run the worker: reports in, decisions and routes out."),
    "hooks": Entry("streams.cli.hooks:hooks", "Carry out the hooks of decisions: call webhooks, run commands."),
    "topics": Entry("streams.cli.topics:topics", "Create and check the topics."),
    "plan": Entry("streams.cli.plan:plan", "Check and explain release plans."),
    "release": Entry("streams.cli.release:release", "Start, watch and steer releases."),
    "apply": Entry("streams.cli.apply:apply", "Make what runs equal to the plans in a folder."),
    "route": Entry("streams.cli.route:route", "Carry routes to routers that do not follow Kafka."),
    "audit": Entry("streams.cli.audit:audit", "Verify and export the decisions that were taken."),
    "record": Entry("streams.cli.record:record", "Copy a topic into lines for replay."),
    "replay": Entry("streams.cli.replay:replay", "Judge recorded events by the code of the pipeline."),
    "simulate": Entry("streams.cli.simulate:simulate", "Try a plan on made-up traffic that follows its routes."),
    "doctor": Entry("streams.cli.doctor:doctor", "Examine a set-up and say what to do."),
    "config": Entry("streams.cli.config:config", "Show the settings in force and where each comes from."),
    "schemas": Entry("streams.cli.schemas:schemas", "Write or check the JSON Schemas and the AsyncAPI document."),
    "version": Entry("streams.cli.version:version", "Show the version."),
}


@click.group(cls=CommandTable, table=TABLE, name="serinus", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", type=click.Path(path_type=Path), help="YAML file with settings; also SERINUS_CONFIG.")
@click.pass_context
def cli(context: click.Context, config: Path | None) -> None:
    """Canary releases of AI services, judged from the stream of their requests.

    Exit codes: 0 done, 1 the answer is "no", 2 wrong input, 3 a dependency is unreachable.
    """
    context.obj = config


def main() -> None:
    """The entry point of the command `serinus`."""
    cli.main(prog_name="serinus")
