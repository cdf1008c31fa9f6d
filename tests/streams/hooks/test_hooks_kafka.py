"""`serinus hooks` on a real Kafka, with a real HTTP server: told at least once, in order; nobody waits for another."""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.decision import Action, Decision, encode_record
from schemas.evidence import Verdict
from schemas.hook import Hook
from streams.kafka import producer
from streams.settings import Settings
from streams.topics import DECISIONS
from tests.conftest import free_port
from tests.e2e.pipeline import Pipeline, Process, pipeline, wait_for
from tests.streams.hooks.decided import decided, row
from tests.streams.hooks.receiver import Receiver, receiver
from tests.streams.hooks.test_signature import KEY, documented

pytestmark = pytest.mark.kafka


class Caller:
    """A pipeline whose only process is `serinus hooks`, and what it is allowed."""

    def __init__(self, running: Pipeline, target: Receiver) -> None:
        self.running, self.target, self.port = running, target, free_port()
        secret = running.folder / "hooks.key"
        secret.write_text(KEY.decode())
        self.settings = Settings(brokers=running.brokers, topic_prefix=running.prefix)
        self.environment = {
            "SERINUS_HOOKS_HTTP_PORT": str(self.port),
            "SERINUS_HOOKS_ALLOW": target.url,
            "SERINUS_HOOKS_SECRET_FILE": str(secret),
            "SERINUS_HOOKS_TIMEOUT": "20s",
        }

    def start(self, *words: str, **more: str) -> Process:
        """Start it and wait until it has its partitions."""
        process = self.running.start("hooks", *words, **(self.environment | more))
        self.wait_ready(process)
        return process

    def wait_ready(self, process: Process) -> None:
        """It has its partitions as soon as it has committed where it begins; then a decision is new to it."""
        before = process.text().count("partitions taken")
        wait_for(lambda: process.text().count("partitions taken") > before, 60, what="joined", dump=process.text)

    def publish(self, *decisions: Decision) -> None:
        """As the worker would, by service."""
        client = producer(self.settings, "test")
        for decision in decisions:
            client.produce(self.settings.topic(DECISIONS), encode_record(decision), decision.service.encode())
        assert client.flush(20) == 0

    def hook(self, path: str, *when: Action, name: str = "decision") -> Hook:
        actions = tuple(action.value for action in when or Action)
        return Hook(actions, webhook=self.target.url + path, format=name)  # type: ignore[arg-type]

    def metric(self, line: str) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            for found in answer.read().decode().splitlines():
                if found.startswith(line + " "):
                    return float(found.split()[-1])
        raise AssertionError(f"no metric {line}")


@pytest.fixture
def caller(kafka_broker: str, topic_prefix: str, tmp_path: Path) -> Iterator[Caller]:
    with receiver() as target, pipeline(kafka_broker, topic_prefix, tmp_path) as running:
        yield Caller(running, target)


def test_each_action_calls_once_with_a_signature(caller: Caller) -> None:
    """All nine actions, in order, signed; a decision that the worker publishes again is not told again."""
    process = caller.start()
    decisions = [decided(action, caller.hook("/a"), epoch=epoch) for epoch, action in enumerate(Action, start=1)]
    caller.publish(*decisions, decisions[-1], decided(Action.HOLD, epoch=98))
    caller.publish(decided(Action.START, caller.hook("/a"), epoch=99))
    told = caller.target.wait("/a", len(decisions) + 1, dump=process.text)
    assert [one.body for one in told[:-1]] == [encode_record(decision) for decision in decisions]
    assert [one.headers["Serinus-Action"] for one in told[:-1]] == [action.value for action in Action]
    assert len({one.key for one in told}) == len(told) == len(decisions) + 1
    verified = documented()
    assert all(verified(one.body, one.headers["Serinus-Signature"], KEY.decode()) for one in told)
    assert {one.headers["Content-Type"] for one in told} == {"application/json"}
    assert caller.metric('serinus_hooks_total{format="decision",outcome="delivered"}') == len(told)
    assert process.stop() == 0


def test_a_failing_target_is_tried_again_and_a_refusing_one_is_not(caller: Caller) -> None:
    """Three failures, then it works: one delivery, one key. Another answer than 5xx, or a redirection, ends it."""
    target = caller.target
    target.answers = {"/flaky": [500, 503, 429], "/wrong": [404], "/moved": [307]}
    target.headers = {"Location": f"{target.url}/elsewhere"}
    process = caller.start()
    hooks = [caller.hook(path) for path in ("/flaky", "/wrong", "/moved", "/fine")]
    caller.publish(decided(Action.HOLD, *hooks, epoch=1), decided(Action.RESUME, *hooks, epoch=2))
    told = target.wait("/flaky", 5, dump=process.text)
    assert len({one.key for one in told[:4]}) == 1
    assert [one.headers["Serinus-Action"] for one in told] == ["hold"] * 4 + ["resume"]
    assert [len(target.wait(path, 2)) for path in ("/wrong", "/moved", "/fine")] == [2, 2, 2]
    assert target.told["/elsewhere"] == []
    assert caller.metric('serinus_hooks_total{format="decision",outcome="given_up"}') == 2
    assert caller.metric('serinus_hooks_total{format="decision",outcome="delivered"}') == 6
    assert "gave up telling" in process.text()
    assert process.stop() == 0


def test_a_hanging_target_delays_nobody_and_killing_loses_nothing(caller: Caller) -> None:
    """`kill -9` in the middle of a delivery: the next process begins it again with the same key, and all after it."""
    target = caller.target
    target.hangs = {"/dead"}
    process = caller.start()
    both = (caller.hook("/dead"), caller.hook("/live"))
    caller.publish(*(decided(Action.ADVANCE, *both, epoch=epoch) for epoch in range(1, 21)))
    live = target.wait("/live", 20, dump=process.text)
    assert [json.loads(one.body)["epoch"] for one in live] == list(range(1, 21))
    first = target.wait("/dead", 1)
    assert len(first) == 1, "one after another"
    process.kill()
    target.hangs.clear()
    target.let_go.set()
    process.restart()
    told = target.wait("/dead", 21, dump=process.text)
    assert told[0].key == told[1].key
    assert [json.loads(one.body)["epoch"] for one in told[1:]] == list(range(1, 21))
    assert process.stop() == 0


def test_it_begins_with_what_is_new_and_goes_on_where_it_was(caller: Caller) -> None:
    """The first start tells nothing of before it; a later one what came in between, also when it is the first ever."""
    hook = caller.hook("/a")
    caller.publish(decided(Action.START, hook, epoch=1))
    assert caller.start().stop() == 0
    caller.publish(decided(Action.HOLD, hook, epoch=2))
    process = caller.start()
    caller.publish(decided(Action.RESUME, hook, epoch=3))
    told = caller.target.wait("/a", 2, dump=process.text)
    assert [json.loads(one.body)["epoch"] for one in told] == [2, 3]
    assert process.stop() == 0


def test_from_the_beginning_old_decisions_are_passed_over(caller: Caller) -> None:
    """What is older than hooks_age_max tells nobody, however late it is read."""
    hook, day_ms = caller.hook("/a"), 86_400_000
    old_ms = time.time_ns() // 1_000_000 - 2 * day_ms
    caller.publish(decided(epoch=1, at_ms=old_ms), decided(Action.HOLD, hook, epoch=2, at_ms=old_ms))
    caller.publish(decided(Action.ROLLBACK, hook, epoch=3))
    process = caller.start("--from-beginning")
    told = caller.target.wait("/a", 1, dump=process.text)
    assert [json.loads(one.body)["epoch"] for one in told] == [3]
    assert caller.metric('serinus_hooks_total{format="decision",outcome="too_old"}') == 1
    assert process.stop() == 0


def test_what_the_machine_does_not_allow_is_said_and_not_done(caller: Caller) -> None:
    """A URL beside the allowed ones, a command that only the plan knows; and the rest goes on."""
    caller.environment["SERINUS_HOOKS_ALLOW"] = f"{caller.target.url}/allowed"
    process = caller.start()
    refused = (caller.hook("/inner"), caller.hook("/allowed-not"), Hook(("hold",), command="page"))
    caller.publish(decided(Action.HOLD, *refused, caller.hook("/allowed/a")))
    caller.target.wait("/allowed/a", 1, dump=process.text)
    assert caller.metric('serinus_hooks_total{format="decision",outcome="refused"}') == 3
    assert [caller.target.told[path] for path in ("/inner", "/allowed-not")] == [[], []]
    assert "command page: hooks_commands has no such name" in process.text()
    assert process.stop() == 0


def test_a_command_of_the_machine_has_the_evidence_on_its_input(caller: Caller, tmp_path: Path) -> None:
    """It fails twice, hangs once, then it works; it sees the delivery's key and none of the settings."""
    script, seen = tmp_path / "retrain.py", tmp_path / "seen"
    script.write_text(
        "import json, os, pathlib, sys, time\n"
        f"seen = pathlib.Path({str(seen)!r})\n"
        "lines = seen.read_text().splitlines() if seen.exists() else []\n"
        "names = sorted(name for name in os.environ if name.startswith('SERINUS_'))\n"
        "told = json.load(sys.stdin) | {'names': names, 'hook_key': os.environ['SERINUS_HOOK_KEY']}\n"
        "seen.write_text('\\n'.join([*lines, json.dumps(told)]) + '\\n')\n"
        "time.sleep(60 if len(lines) == 2 else 0)\n"
        "sys.exit(len(lines) < 2)\n"
    )
    commands = json.dumps({"retrain": [sys.executable, str(script)], "none": [str(tmp_path / "missing")]})
    limits = {"SERINUS_HOOKS_TIMEOUT": "3s", "SERINUS_HOOKS_GIVE_UP_AFTER": "30s"}
    process = caller.start(SERINUS_HOOKS_COMMANDS=commands, **limits)
    hooks = (Hook(("rollback",), command="retrain", format="retrain"), Hook(("rollback",), command="none"))
    caller.publish(decided(Action.ROLLBACK, *hooks, evidence=(row(Verdict.FAIL),)))
    delivered = 'serinus_hooks_total{format="retrain",outcome="delivered"}'
    wait_for(lambda: caller.metric(delivered) == 1, 60, what="the command has worked", dump=process.text)
    told = [json.loads(line) for line in seen.read_text().splitlines()]
    assert len(told) == 4
    assert {one["hook_key"] for one in told} == {told[0]["key"]}
    assert told[0]["names"] == ["SERINUS_HOOK_ACTION", "SERINUS_HOOK_KEY"]
    assert (told[0]["worse"], told[0]["topic"]) == (["v2"], caller.settings.topic("inference.events"))
    assert "took longer than 3 s" in process.text()
    assert "cannot be run" in process.text()
    assert process.stop() == 0


def test_another_process_takes_over(caller: Caller) -> None:
    """Two share the services; when one is killed, the other one tells what it had not told, and all that comes."""
    services = [f"s{number}" for number in range(12)]
    first = caller.start()
    second = caller.start(SERINUS_HOOKS_HTTP_PORT=str(free_port()))
    caller.publish(*(decided(Action.HOLD, caller.hook("/a"), service=service, epoch=1) for service in services))
    told = caller.target.wait("/a", len(services), dump=caller.running.logs)
    assert {json.loads(one.body)["service"] for one in told} == set(services)
    caller.target.hangs = {"/b"}
    caller.publish(*(decided(Action.RESUME, caller.hook("/b"), service=service, epoch=2) for service in services))
    caller.target.wait("/b", 2, dump=caller.running.logs)
    first.kill()
    caller.target.hangs.clear()
    caller.target.let_go.set()

    def all_told() -> bool:
        return {json.loads(one.body)["service"] for one in list(caller.target.told["/b"])} == set(services)

    wait_for(all_told, 60, what="all services", dump=second.text)
    assert second.stop() == 0
