"""`serinus audit`: is the audit whole, and what does it say."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import click
import msgspec

from releases.audit_chain import Chain
from schemas.decision import Decision, Record, decode_record, hash_of
from streams.cli.options import json_option, settings_option
from streams.cli.output import print_json, shares
from streams.cli.table import EXIT_DONE, EXIT_NO
from streams.kafka import require_broker
from streams.kafka_reader import read_to_end
from streams.route_reader import read_routes
from streams.settings import Settings
from streams.settings_load import Loaded
from streams.topics import DECISIONS

READ_S = 120.0
"""A year of decisions is some ten thousand records of a service."""

COLUMNS = (
    "service", "at", "record", "release_id", "epoch", "action", "state", "verdict", "actor", "reason", "command_id",
    "weights", "previous_weights", "plan_hash", "previous_hash", "hash",
)  # fmt: skip


class Kept(NamedTuple):
    """A record of the audit, as it stands there and decoded."""

    raw: bytes
    record: Record


class Answer(msgspec.Struct, frozen=True):
    """What was found of one service."""

    service: str
    records: int
    repeated: int
    outside: int
    whole: bool
    head: str | None
    findings: list[str]


@click.group()
def audit() -> None:
    """Verify and export the decisions and refusals of `canary.decisions`."""


_file_option = click.option(
    "--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Lines of `audit export`, not Kafka."
)


@audit.command()
@click.argument("service", required=False)
@click.option("--head", metavar="HASH", help="A hash that was newest once: it must still be there. Needs a service.")
@_file_option
@json_option
@settings_option
def verify(loaded: Loaded, service: str | None, head: str | None, file: Path | None, as_json: bool) -> int:
    """Find records that were removed, altered or added: exit 1. Each record names the hash of the one before it.

    What was removed from the end, or with all that is older, shows only beside a hash that you have kept, or the route
    in force.
    """
    if head is not None and service is None:
        raise click.UsageError("--head is of one service; name it")
    # Routes first: a decision is written before or with the route that it causes.
    epochs = {} if file is not None else _route_epochs(loaded.settings)
    chains: dict[str, Chain] = {}
    for raw, record in _kept(loaded.settings, service, file):
        chains.setdefault(record.service, Chain(record.service)).add(raw, record)
    if service is not None:
        chains.setdefault(service, Chain(service))
    answers = [_answer(chain, epochs.get(name, 0), head) for name, chain in sorted(chains.items())]
    for answer in answers:
        if as_json:
            print_json(answer)
        else:
            _tell(answer)
    return EXIT_NO if any(answer.findings for answer in answers) else EXIT_DONE


@audit.command()
@click.argument("service", required=False)
@click.option("--format", "how", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@_file_option
@settings_option
def export(loaded: Loaded, service: str | None, how: str, file: Path | None) -> None:
    """Write the audit to stdout: JSON lines as they stand on the topic, or CSV with a row for each record."""
    records = _kept(loaded.settings, service, file)
    if how == "jsonl":
        for raw, _ in records:
            sys.stdout.buffer.write(raw + b"\n")
        sys.stdout.buffer.flush()
        return
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows(_row(raw, record) for raw, record in records)


def _kept(settings: Settings, service: str | None, file: Path | None) -> Iterator[Kept]:
    """Each record of the service, or of all, in order; what others wrote to the topic is left out."""
    if file is not None:
        lines = file.read_bytes().splitlines()
    else:
        require_broker(settings)
        found = read_to_end(settings, settings.topic(DECISIONS), READ_S)
        lines = [message.value() or b"" for message in found]
    for raw in lines:
        try:
            record = decode_record(raw)
        except msgspec.DecodeError:
            continue
        if service in {None, record.service}:
            yield Kept(raw, record)


def _route_epochs(settings: Settings) -> dict[str, int]:
    """By service the epoch of the newest route."""
    require_broker(settings)
    return {service: route.epoch for service, route in read_routes(settings).items()}


def _answer(chain: Chain, route_epoch: int, head: str | None) -> Answer:
    findings = [f"{_time(finding.at_ms)}: {finding.what}" for finding in chain.findings]
    if route_epoch > chain.epoch:
        findings.append(
            f"a route with epoch {route_epoch} is in force and epoch {chain.epoch} is the newest decision: records are "
            "missing at the end"
        )
    if head is not None and head not in chain.links:
        findings.append(f"no record has the hash {head}")
    return Answer(chain.service, len(chain.links), chain.repeated, chain.outside, chain.whole, chain.head, findings)


def _tell(answer: Answer) -> None:
    begins = "from the first on" if answer.whole else "older ones are gone"
    said = f"{answer.records:,} records, {begins}, {answer.repeated:,} published again"
    if answer.outside:
        said += f", {answer.outside:,} without a hash"
    mark = click.style("problem", fg="red") if answer.findings else click.style("ok", fg="green")
    click.echo(f"{mark}: {answer.service}: {said}; newest hash {answer.head or 'none'}")
    for finding in answer.findings:
        click.echo(f"    {finding}")


def _row(raw: bytes, record: Record) -> list[str | int | None]:
    at, own = _time(record.at_ms), hash_of(raw)
    if isinstance(record, Decision):
        return [
            record.service, at, "decision", record.release_id, record.epoch, record.action.value, record.state.value,
            record.verdict.value, record.actor, record.reason, record.command_id, shares(record.weights_ppm),
            shares(record.previous_weights_ppm), record.plan_hash, record.previous_hash, own,
        ]  # fmt: skip
    reason = f"{record.reason} (asked: {record.asked})" if record.asked else record.reason
    what, command_id = record.command or None, record.command_id
    between = (record.service, at, "refusal", None, None, what, None, None, record.actor, reason, command_id)
    return [*between, None, None, None, record.previous_hash, own]


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
