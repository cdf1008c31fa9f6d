"""`serinus apply` through Kafka: what it says, sends and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from schemas.command import Command, Verb, decode_command, encode_command
from schemas.decision import Action, Decision, State, encode_record, plan_hash
from schemas.plan import EXAMPLE, Plan, parse_plan
from schemas.route import Route, encode_route
from streams.cli.release_log import FIRST_LOOK_RECORDS, newest_decisions
from streams.kafka import producer
from streams.kafka_reader import read_to_end
from streams.settings import Settings
from streams.topics import COMMANDS, CONTROL, DECISIONS
from tests.streams.cli.conftest import Run, decision
from tests.streams.cli.test_release import publish, worker

PLAN = parse_plan(EXAMPLE)


def stands(settings: Settings, plan: Plan, state: State = State.RAMPING, *, recorded: bool = True) -> None:
    """A release of a plan: its newest decision, its route, and the command that started it."""
    said = msgspec.structs.replace(decision(7, state=state), service=plan.service, plan_hash=plan_hash(plan))
    publish(settings, said)
    client = producer(settings, "test")
    route = Route(plan.service, "chat-1", 7, state, {"v1": 1_000_000}, "v1", "salt", 1_763_632_800_000, 30_000)
    client.produce(settings.topic(CONTROL), encode_route(route), plan.service.encode())
    if recorded:
        asked = Command("c1", plan.service, Verb.START, "ada", "r", 1, plan=plan)
        client.produce(settings.topic(COMMANDS), encode_command(asked), plan.service.encode())
    assert client.flush(10) == 0


def folder(where: Path, **files: str) -> str:
    for name, text in files.items():
        (where / f"{name}.yaml").write_text(text)
    return str(where)


def sent(settings: Settings) -> list[Command]:
    return [decode_command(one.value() or b"") for one in read_to_end(settings, settings.topic(COMMANDS))]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a": EXAMPLE, "b": "# twice" + EXAMPLE}, "b.yaml:2: service: found 'chat', which "),
        ({"a": EXAMPLE, "b": EXAMPLE.replace("0.5%", "200%")}, "b.yaml:7: metrics[0].margin: found 200%"),
        ({"a": EXAMPLE, "b": "name: healthy\n"}, "b.yaml:1: name: unknown field"),
        ({}, "found no file *.yaml or *.yml"),
    ],
)
def test_a_folder_that_is_wrong_is_refused_as_a_whole(
    broker: Settings, run: Run, tmp_path: Path, files: dict[str, str], said: str
) -> None:
    """File and line are named, and nothing is sent, not even what the good files ask for."""
    result = run("apply", folder(tmp_path, **files), "--prune")
    assert result.exit_code == 2
    assert said in result.stderr and result.stderr.count("\n") == 1
    assert sent(broker) == []


def test_a_dry_run_shows_field_by_field_and_sends_nothing(broker: Settings, run: Run, tmp_path: Path) -> None:
    """The plan that runs is the one that its start command has; exit 1, since there is a difference."""
    stands(broker, PLAN)
    where = folder(tmp_path, chat=EXAMPLE.replace("0.5%", "1%"))
    result = run("apply", where, "--dry-run")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "chat: replace by chat.yaml (chat-1 is ramping, epoch 7)",
        "    - metrics[error_rate].margin: 0.5%",
        "    + metrics[error_rate].margin: 1%",
    ]
    told = json.loads(run("apply", where, "--dry-run", "--json").stdout)
    assert (told["type"], told["deed"], told["epoch"], told["before_on_record"]) == ("change", "replace", 7, True)
    assert told["difference"] == [{"field": "metrics[error_rate].margin", "before": "0.5%", "after": "1%"}]
    assert len(sent(broker)) == 1


def test_a_plan_that_is_not_on_record_is_said(broker: Settings, run: Run, tmp_path: Path) -> None:
    """Commands are kept for a week and releases may be older: the hash still says whether it is the same."""
    stands(broker, PLAN, recorded=False)
    result = run("apply", folder(tmp_path, chat=EXAMPLE), "--dry-run")
    assert result.exit_code == 0
    assert result.stdout == "chat: nothing to do, as in chat.yaml (chat-1 is ramping, epoch 7)\n"
    result = run("apply", folder(tmp_path, chat=EXAMPLE.replace("v2", "v3")), "--dry-run")
    assert result.exit_code == 1
    assert "    the plan before is not on record; all of the new one:\n    + service: chat\n" in result.stdout
    assert "    + canaries: [v3]\n" in result.stdout


def test_a_replacement_expects_the_epoch_that_was_looked_at(broker: Settings, run: Run, tmp_path: Path) -> None:
    """Actor, reason, plan and epoch arrive; the answer is printed as of any other command."""
    stands(broker, PLAN)
    where = folder(tmp_path, chat=EXAMPLE.replace("0.5%", "1%"))
    with worker(broker, lambda asked: decision(9, Action.START, command_id=asked.id)):
        result = run("apply", where, "--actor", "ci")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.endswith("chat: start, now ramping (v1 95%, v2 5%): reason 9\n")
    asked = sent(broker)[-1]
    assert (asked.command, asked.replace, asked.expected_epoch) == (Verb.START, True, 7)
    assert (asked.actor, asked.reason) == ("ci", "plan chat.yaml")
    assert asked.plan is not None and asked.plan.metrics[0].margin == 0.01


def test_what_was_rolled_back_is_exit_1_and_not_sent(broker: Settings, run: Run, tmp_path: Path) -> None:
    """Unless somebody says so: then it is an ordinary start."""
    stands(broker, PLAN, State.ROLLED_BACK)
    where = folder(tmp_path, chat=EXAMPLE)
    result = run("apply", where)
    assert result.exit_code == 1
    assert result.stdout == (
        "chat: chat.yaml is not tried again by itself; change it, or use --retry (chat-1 is rolled_back, epoch 7)\n"
    )
    with worker(broker, lambda asked: decision(8, Action.START, command_id=asked.id)):
        assert run("apply", where, "--retry").exit_code == 0
    assert [(asked.replace, asked.expected_epoch) for asked in sent(broker)[1:]] == [(False, 7)]


def test_a_service_is_found_however_much_was_decided_since(broker: Settings) -> None:
    """Decisions of others fill the first look back; one whose route is known is looked for further on."""
    publish(broker, decision(7))
    noisy = msgspec.structs.replace(decision(1), service="chat ")
    filler: list[Decision] = [msgspec.structs.replace(noisy, epoch=epoch) for epoch in range(FIRST_LOOK_RECORDS + 50)]
    client = producer(broker, "test")
    for record in filler:
        client.produce(broker.topic(DECISIONS), encode_record(record), b"chat")
    assert client.flush(10) == 0
    assert newest_decisions(broker, {"chat"}, known={"chat"})["chat"].epoch == 7
    assert newest_decisions(broker, {"chat"}, known=set()) == {}
