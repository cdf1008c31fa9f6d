"""`serinus release …` through Kafka: the embedded broker, and a worker that answers by rote."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Message

from schemas.command import Command, Verb, decode_command
from schemas.decision import Action, Decision, Refusal, State, encode_record
from schemas.plan import EXAMPLE
from schemas.route import Route, encode_route
from streams.kafka import producer
from streams.kafka_reader import Reader, bounds, read_to_end
from streams.service_partition import partition_of
from streams.settings import Settings
from streams.topics import COMMANDS, CONTROL, DECISIONS
from tests.streams.cli.conftest import Run, decision


def publish(settings: Settings, *records: Decision | Refusal) -> None:
    client = producer(settings, "test")
    for record in records:
        client.produce(settings.topic(DECISIONS), encode_record(record), record.service.encode())
    assert client.flush(10) == 0


@contextmanager
def worker(settings: Settings, answer: Callable[[Command], Decision | Refusal]) -> Iterator[list[Message]]:
    """Answers each command on ``canary.commands``, after a record that answers somebody else's."""
    stop, seen = threading.Event(), list[Message]()
    starts = {number: high for number, (_, high) in bounds(settings, COMMANDS).items()}

    def serve() -> None:
        with Reader(settings, settings.topic(COMMANDS), starts) as reader:
            while not stop.is_set():
                for message in reader.poll(0.1):
                    seen.append(message)
                    foreign = Refusal(service="chat", command_id="another", at_ms=1, actor="eve", reason="not yours")
                    publish(settings, foreign, answer(decode_command(message.value() or b"")))

    serving = threading.Thread(target=serve)
    serving.start()
    try:
        yield seen
    finally:
        stop.set()
        serving.join(10)


def test_start_sends_the_plan_and_reports_the_decision(broker: Settings, run: Run, tmp_path: Path) -> None:
    """`release start` ends with 0 and the worker's decision once the worker has answered this very command."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(EXAMPLE)
    with worker(broker, lambda asked: decision(1, Action.START, command_id=asked.id)) as seen:
        result = run("release", "start", str(plan), "--actor", "ada")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "chat: start, now ramping (v1 95%, v2 5%): reason 1\n"
    asked = decode_command(seen[0].value() or b"")
    assert (asked.command, asked.service, asked.actor, asked.reason) == (Verb.START, "chat", "ada", "plan plan.yaml")
    assert asked.plan is not None and asked.plan.baseline == "v1"
    assert seen[0].key() == b"chat" and seen[0].partition() == partition_of("chat", 4)


@pytest.mark.parametrize("verb", ["pause", "resume", "promote", "rollback", "abort"])
def test_a_refusal_is_exit_1_with_the_reason(broker: Settings, run: Run, verb: str) -> None:
    """When the worker refuses, the answer is "no" and the reason is the worker's."""

    def refuse(asked: Command) -> Refusal:
        return Refusal(service="chat", command_id=asked.id, at_ms=1, actor=asked.actor, reason="no release is running")

    with worker(broker, refuse) as seen:
        result = run("release", verb, "chat", "--reason", "because", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["reason"] == "no release is running"
    assert decode_command(seen[0].value() or b"").command.value == verb


def test_set_weight_carries_version_and_share(broker: Settings, run: Run) -> None:
    """A share in percent arrives as parts per million; without waiting the command itself is the output."""
    result = run("release", "set-weight", "chat", "v2", "2.5%", "--reason", "try", "--no-wait", "--json")
    assert result.exit_code == 0
    [message] = read_to_end(broker, broker.topic(COMMANDS))
    asked = decode_command(message.value() or b"")
    assert (asked.command, asked.version, asked.weight_ppm) == (Verb.SET_WEIGHT, "v2", 25_000)
    assert json.loads(result.stdout)["id"] == asked.id


def test_what_a_command_says_beside_its_verb_arrives(broker: Settings, run: Run, tmp_path: Path) -> None:
    """The epoch that is expected, a promotion without evidence, and a start that replaces."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(EXAMPLE)
    why = ("--reason", "r", "--no-wait", "--expected-epoch", "7")
    assert run("release", "promote", "chat", "--version", "v2", "--skip-evidence", *why).exit_code == 0
    assert run("release", "start", str(plan), "--replace", *why).exit_code == 0
    promote, start = [decode_command(one.value() or b"") for one in read_to_end(broker, broker.topic(COMMANDS))]
    assert (promote.version, promote.skip_evidence, promote.expected_epoch) == ("v2", True, 7)
    assert (start.replace, start.skip_evidence, start.expected_epoch) == (True, False, 7)


def test_without_a_worker_the_wait_is_bounded(run: Run) -> None:
    """Nobody answers: exit 3 after the given time, and the line says that the command is written all the same."""
    began = time.monotonic()
    result = run("release", "pause", "chat", "--reason", "r", "--wait", "0.5")
    assert result.exit_code == 3
    assert "is written, but no worker answered within 0.5 s" in result.stderr
    assert result.stderr.count("\n") == 1
    assert time.monotonic() - began < 5


def test_watch_follows_to_the_end(broker: Settings, run: Run) -> None:
    """Decisions made before and during the watch appear once each, in order; a promotion is exit 0."""
    publish(broker, decision(1, Action.START), decision(2), decision(2))

    def later() -> None:
        time.sleep(0.7)
        publish(broker, decision(2), decision(3), decision(4, Action.PROMOTE, State.PROMOTED))

    publishing = threading.Thread(target=later)
    publishing.start()
    result = run("release", "watch", "chat", "--json")
    publishing.join()
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert all(line["type"] == "decision" for line in lines)
    assert result.exit_code == 0


@pytest.mark.parametrize(("action", "state"), [(Action.ROLLBACK, State.ROLLED_BACK), (Action.ABORT, State.ABORTED)])
def test_watch_of_a_failed_release_is_exit_1(broker: Settings, run: Run, action: Action, state: State) -> None:
    """Rolled back or aborted is "no", in plain lines too."""
    publish(broker, decision(1, Action.START), decision(2, action, state))
    result = run("release", "watch", "chat")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1].endswith(
        f"chat {action.value} -> {state.value} [v1 95%, v2 5%] PASS: reason 2"
    )


def test_only_the_latest_release_of_this_service_is_shown(broker: Settings, run: Run) -> None:
    """Earlier releases, other services and foreign records on the topic are left out."""
    old = decision(1, Action.ROLLBACK, State.ROLLED_BACK, release_id="chat-0")
    publish(broker, old, decision(2, Action.START), decision(3, Action.PROMOTE, State.PROMOTED))
    client = producer(broker, "test")
    client.produce(broker.topic(DECISIONS), b"not JSON", b"chat")
    assert client.flush(10) == 0
    result = run("release", "watch", "chat", "--json")
    assert [json.loads(line)["epoch"] for line in result.stdout.splitlines()] == [2, 3]
    assert result.exit_code == 0


def test_a_release_far_back_in_the_audit_is_found_whole(broker: Settings, run: Run) -> None:
    """A release whose start lies thousands of records back is shown from its start."""
    other = [Refusal(service="chat", command_id=str(n), at_ms=n, actor="a", reason="r") for n in range(2_000)]
    publish(broker, decision(1, Action.START), *other, decision(2, Action.PROMOTE, State.PROMOTED))
    found = json.loads(run("release", "status", "chat", "--json").stdout)
    assert (found["state"], found["decision"]["epoch"], found["route"]) == ("promoted", 2, None)
    lines = run("release", "watch", "chat", "--json").stdout.splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]


def test_status_says_when_the_lease_has_run_out(broker: Settings, run: Run) -> None:
    """A route that nobody renews is the sign that no worker runs; the newest route counts."""
    publish(broker, decision(1, Action.START))
    client = producer(broker, "test")
    now_ms = time.time_ns() // 1_000_000
    for epoch, issued_at_ms in ((2, now_ms - 60_000), (1, now_ms)):
        route = Route(
            service="chat",
            release_id="chat-1",
            epoch=epoch,
            state=State.RAMPING,
            weights_ppm={"v1": 950_000, "v2": 50_000},
            fallback="v1",
            salt="s",
            issued_at_ms=issued_at_ms,
        )
        client.produce(broker.topic(CONTROL), encode_route(route), b"chat")
    assert client.flush(10) == 0
    result = run("release", "status", "chat")
    assert "chat-1, epoch 1" in result.stdout.splitlines()
    assert result.exit_code == 0
    assert re.search(r"the lease ran out 3\d s ago, routers are back on v1", result.stdout)


def test_status_of_an_unknown_service_is_exit_1(run: Run) -> None:
    """A service without a release is a "no", not an error."""
    result = run("release", "status", "nobody")
    assert (result.exit_code, result.stdout) == (1, "nobody: no release\n")


def test_topics_are_created_and_checked(run: Run) -> None:
    """On a broker where all is well create changes nothing and check is 0."""
    assert "canary.inputs: exists already, left as it is" in run("topics", "create").stdout
    result = run("topics", "check")
    assert (result.exit_code, result.stdout) == (0, "all topics are as they must be\n")
