"""`serinus audit …` on the embedded broker: a whole chain, a broken one, and what is handed to others."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import msgspec
import pytest

from schemas.decision import GENESIS, Action, Decision, Refusal, State, encode_record, hash_of
from schemas.route import Route, encode_route
from streams.kafka import producer
from streams.settings import Settings
from streams.topics import CONTROL, DECISIONS
from tests.streams.cli.conftest import Run, decision


def chained(*records: Decision | Refusal) -> list[bytes]:
    """The records, each with the hash of the one before it."""
    head, written = GENESIS, list[bytes]()
    for record in records:
        written.append(encode_record(msgspec.structs.replace(record, previous_hash=head)))
        head = hash_of(written[-1])
    return written


RECORDS = chained(
    decision(1, Action.START),
    Refusal("chat", "c2", 1_763_632_801_500, "eve", "no", command="pause", asked="=cmd()"),
    decision(2),
    decision(3, Action.PROMOTE, State.PROMOTED),
)


def publish(settings: Settings, *records: bytes) -> None:
    client = producer(settings, "test")
    for record in records:
        client.produce(settings.topic(DECISIONS), record, b"chat")
    assert client.flush(10) == 0


def test_a_whole_audit_is_exit_0(broker: Settings, run: Run) -> None:
    """Also when a record was published twice, and something that is no decision lies between."""
    publish(broker, *RECORDS[:3], b"{}", RECORDS[2], RECORDS[3])
    result = run("audit", "verify")
    assert result.exit_code == 0, result.stdout
    head = hash_of(RECORDS[3])
    assert result.stdout == f"ok: chat: 4 records, from the first on, 1 published again; newest hash {head}\n"
    assert run("audit", "verify", "chat", "--head", hash_of(RECORDS[1])).exit_code == 0


def test_a_removed_record_is_exit_1(broker: Settings, run: Run) -> None:
    """With what is missing and when it was; as JSON for machines."""
    publish(broker, *RECORDS[:2], RECORDS[3])
    result = run("audit", "verify", "chat", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["findings"] == [
        "2025-11-20T10:00:03.000+00:00: the record before the promote of chat-1 with epoch 3 is missing or was altered"
    ]


def test_what_is_missing_at_the_end_shows_beside_the_route_or_a_kept_hash(broker: Settings, run: Run) -> None:
    """The chain itself cannot know: it ends where it ends."""
    publish(broker, *RECORDS[:3])
    assert run("audit", "verify").exit_code == 0
    head = hash_of(RECORDS[3])
    kept = run("audit", "verify", "chat", "--head", head)
    assert (kept.exit_code, kept.stdout.splitlines()[1].strip()) == (1, f"no record has the hash {head}")
    route = Route("chat", "chat-1", 3, State.PROMOTED, {"v2": 1_000_000}, "v2", "salt", 1)
    client = producer(broker, "test")
    client.produce(broker.topic(CONTROL), encode_route(route), b"chat")
    assert client.flush(10) == 0
    beside = run("audit", "verify", "chat")
    assert beside.exit_code == 1
    assert "a route with epoch 3 is in force and epoch 2 is the newest decision" in beside.stdout


def test_lines_that_were_exported_are_verified_without_kafka(broker: Settings, run: Run, tmp_path: Path) -> None:
    """Byte for byte what the topic holds; one letter changed later is found."""
    publish(broker, *RECORDS)
    lines = run("audit", "export", "chat").stdout_bytes
    assert lines == b"".join(raw + b"\n" for raw in RECORDS)
    file = tmp_path / "audit.jsonl"
    file.write_bytes(lines)
    assert run("audit", "verify", "--file", str(file)).exit_code == 0
    file.write_bytes(lines.replace(b"reason 2", b"reason 9"))
    assert run("audit", "verify", "--file", str(file)).exit_code == 1


def test_a_table_for_people(broker: Settings, run: Run) -> None:
    """CSV has a row for each record, and text that a spreadsheet would compute stays text."""
    publish(broker, *RECORDS)
    rows = list(csv.DictReader(io.StringIO(run("audit", "export", "--format", "csv").stdout)))
    assert [row["record"] for row in rows] == ["decision", "refusal", "decision", "decision"]
    assert rows[1] | {"hash": ""} == {
        "service": "chat", "at": "2025-11-20T10:00:01.500+00:00", "record": "refusal", "release_id": "", "epoch": "",
        "action": "pause", "state": "", "verdict": "", "actor": "eve", "reason": "no (asked: =cmd())",
        "command_id": "c2", "weights": "", "previous_weights": "", "plan_hash": "",
        "previous_hash": hash_of(RECORDS[0]), "hash": "",
    }  # fmt: skip
    assert rows[3]["weights"] == "v1 95%, v2 5%"


def test_a_head_needs_a_service(run: Run) -> None:
    """A hash is of one service's chain."""
    result = run("audit", "verify", "--head", "ab")
    assert result.exit_code == 2
    assert "--head is of one service" in result.stderr


@pytest.mark.parametrize("how", ["jsonl", "csv"])
def test_an_empty_audit_is_no_error(run: Run, how: str) -> None:
    """Nothing was decided yet."""
    result = run("audit", "export", "--format", how)
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 0 if how == "jsonl" else 1)
