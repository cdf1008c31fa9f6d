"""Ten operators at once: each order is carried out at most once, all stand in the audit, and its chain holds.

`OPERATORS_COMMANDS=1000 pytest -s tests/e2e/test_operators.py` sends more than CI does.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from confluent_kafka import Producer

from schemas.command import Command, Verb, encode_command
from schemas.decision import Decision, Refusal, decode_record, hash_of
from schemas.plan import Plan, parse_plan
from streams.kafka_reader import read_to_end
from streams.topics import COMMANDS, DECISIONS
from tests.e2e.audit import settings_of
from tests.e2e.pipeline import Pipeline, Worker, pipeline, wait_for
from tests.e2e.plans import stages

COUNT = int(os.environ.get("OPERATORS_COMMANDS", "200"))
OPERATORS = 10
SERVICE = "steered"
PLAN = stages(SERVICE, ("1%", "1h"), ("5%", "1h"), ("50%", "1h"))
STALE_EPOCH = 0
WRONG_TOKENS = 8
"""More of them within a minute, and nobody from this address is listened to for the rest of it."""


class Sent(NamedTuple):
    """What became of a command, as far as its sender knows. ``reached`` = it was taken, or lies on the topic."""

    command: Command
    reached: bool


class Operator(threading.Thread):
    """Sends commands over HTTP and by Kafka, some of them twice, some of them forged; at once with nine others."""

    def __init__(self, number: int, running: Pipeline, worker: Worker) -> None:
        super().__init__(name=f"operator-{number}")
        self.number, self.url = number, f"{worker.url}/v1/services/{SERVICE}/release/commands"
        self.topic, self.token = running.topic(COMMANDS), token(number)
        self.producer = Producer({"bootstrap.servers": running.brokers, "linger.ms": 0})
        self.random = random.Random(number)
        self.sent: dict[str, Sent] = {}
        self.forged: set[str] = set()
        self.stale: set[str] = set()
        self.statuses: Counter[int] = Counter()
        self.repeats = 0

    def run(self) -> None:
        for turn in range(COUNT // OPERATORS):
            self._act(turn)
        self.producer.flush(30)

    def _act(self, turn: int) -> None:
        kind = self.random.random()
        if self.sent and kind < 0.2:
            # Any earlier one: a retry, or a producer that brings its last records again after an outage.
            command = self.random.choice(list(self.sent.values())).command
            self.repeats += 1
            if kind < 0.02:
                self._post(command, self.token, wait_s=1.0)
            else:
                self._put(command)
        elif kind < 0.3:
            self._forge(turn)
        elif kind < 0.6:
            command = self._command()
            self._put(command)
            if kind < 0.35:
                self._put(command)
        else:
            command = self._command()
            status = self._post(command, self.token)
            self.sent[command.id] = Sent(command, status in {201, 202, 409})
            if status not in {201, 202, 409}:
                # Nobody answered: it may have been taken all the same, so the same one goes by Kafka.
                self._put(command)
                time.sleep(2.0)

    def _command(self) -> Command:
        asked: dict[str, object] = {"command": self.random.choice([Verb.PAUSE, Verb.RESUME, Verb.ROLLBACK])}
        if asked["command"] is Verb.ROLLBACK and self.random.random() < 0.7:
            weight_ppm = self.random.choice([0, 10_000, 50_000, 300_000])
            asked = {"command": Verb.SET_WEIGHT, "version": "v2", "weight_ppm": weight_ppm}
        return self._made(**asked)

    def _made(self, **asked: object) -> Command:
        command = Command(str(uuid.uuid4()), SERVICE, Verb.PAUSE, f"op-{self.number}", "a test", now_ms())
        return msgspec.structs.replace(command, **asked)

    def _forge(self, turn: int) -> None:
        """An order that must not be carried out, whoever sends it."""
        command = self._made(command=Verb.PROMOTE, skip_evidence=True)
        kind = self.random.randrange(6)
        if kind == 0:
            wrong = self.number < WRONG_TOKENS and turn < COUNT // OPERATORS // 2 and not self.statuses[401]
            self._post(command, "a-token-that-nobody-has" if wrong else token(OPERATORS))
        elif kind == 1:
            self._post(command, None)
        elif kind == 2:
            self._put(msgspec.structs.replace(command, expected_epoch=STALE_EPOCH))
            self.stale.add(command.id)
            return
        elif kind == 3:
            self._put(msgspec.structs.replace(command, service="somebody-else"))
            del self.sent[command.id]
        elif kind == 4:
            self._put_raw(encode_command(command)[:-20])
        else:
            self._put_raw(encode_command(command).replace(b'"promote"', b'"shut_down"'))
        self.forged.add(command.id)

    def _post(self, command: Command, bearer: str | None, wait_s: float = 15.0) -> int:
        body: dict[str, object] = {"id": command.id, "command": command.command.value, "reason": command.reason}
        body |= {"version": command.version, "weight_ppm": command.weight_ppm, "skip_evidence": command.skip_evidence}
        headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
        request = urllib.request.Request(self.url, json.dumps(body).encode(), headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=wait_s) as response:
                status = int(response.status)
        except urllib.error.HTTPError as error:
            status = error.code
        except OSError:
            status = 0
        self.statuses[status] += 1
        return status

    def _put(self, command: Command) -> None:
        self.sent[command.id] = Sent(command, reached=True)
        self._put_raw(encode_command(command))

    def _put_raw(self, value: bytes) -> None:
        self.producer.produce(self.topic, value, key=SERVICE.encode())
        self.producer.poll(0)


def token(number: int) -> str:
    return f"token-of-operator-{number:04}-of-this-test"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def records(running: Pipeline) -> list[Decision | Refusal]:
    """The service's audit; what was published again after a crash counts once."""
    raws = [message.value() or b"" for message in read_to_end(settings_of(running), running.topic(DECISIONS), 60)]
    found = [decode_record(raw) for raw in {hash_of(raw): raw for raw in raws}.values()]
    return [record for record in found if record.service == SERVICE]


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(300 + COUNT)
def test_ten_operators_at_once(kafka_broker: str, topic_prefix: str, tmp_path: Path) -> None:
    """Some orders come twice, some are forged, and the worker is killed in the middle."""
    tokens = tmp_path / "tokens"
    roles = ["operator"] * OPERATORS + ["viewer"]
    tokens.write_text("".join(f"{role} op-{number} {token(number)}\n" for number, role in enumerate(roles)))
    with pipeline(kafka_broker, topic_prefix, tmp_path, SERINUS_HTTP_TOKENS_FILE=str(tokens)) as running:
        worker = running.worker()
        worker.wait_ready()
        started_s = time.monotonic()
        first = Operator(0, running, worker)
        plan = parse_plan(PLAN, file="plan.yaml")
        first._put(first._made(command=Verb.START, plan=plan))
        wait_for(lambda: bool(records(running)), 60, what="a start", dump=running.logs)
        operators = [first, *(Operator(number, running, worker) for number in range(1, OPERATORS))]
        for operator in operators:
            operator.start()
        keeper = threading.Thread(target=keep_going, args=(operators, plan), name="keeper")
        keeper.start()
        wait_for(lambda: len(records(running)) > COUNT // 4, 120, what="a quarter", dump=running.logs)
        worker.process.kill()
        worker.process.restart()
        worker.wait_ready(120)
        for thread in (*operators, keeper):
            thread.join(240 + COUNT)
            assert not thread.is_alive()
        took_s = time.monotonic() - started_s
        check(running, operators)
        print(f"{COUNT:,} commands of {OPERATORS} operators in {took_s:.0f} s")
        assert worker.process.stop() == 0, worker.process.text()[-3000:]


def keep_going(operators: list[Operator], plan: Plan) -> None:
    """Starts the next release when one was rolled back, so that there is always something to give orders about."""
    number = 0
    while any(operator.is_alive() for operator in operators):
        number += 1
        command = operators[0]._made(id=f"start-{number}", command=Verb.START, plan=plan)
        operators[0]._put_raw(encode_command(command))
        time.sleep(1.0)
    operators[0].producer.flush(30)


def check(running: Pipeline, operators: list[Operator]) -> None:
    sent = {command_id: one for operator in operators for command_id, one in operator.sent.items()}
    forged, stale = (set().union(*(getattr(o, name) for o in operators)) for name in ("forged", "stale"))
    reached = {command_id for command_id, one in sent.items() if one.reached}

    def answered() -> dict[str | None, list[Decision | Refusal]]:
        found: dict[str | None, list[Decision | Refusal]] = {}
        for record in records(running):
            found.setdefault(record.command_id, []).append(record)
        return found

    wait_for(lambda: reached <= answered().keys(), 120, what="every order answered", dump=running.logs)
    time.sleep(3)
    found = answered()
    twice = {command_id: its for command_id, its in found.items() if command_id in sent and len(its) > 1}
    assert not twice, f"answered twice: {twice}"
    for command_id in forged | stale:
        assert not any(isinstance(record, Decision) for record in found.get(command_id, ())), "a forged order"
    assert all(isinstance(found[command_id][0], Refusal) for command_id in stale)
    done = sum(isinstance(its[0], Decision) for command_id, its in found.items() if command_id in sent)
    statuses = sum((operator.statuses for operator in operators), Counter[int]())
    repeats = sum(operator.repeats for operator in operators)
    print(f"{len(sent):,} orders, {done:,} carried out; {repeats:,} sent again, {len(forged | stale):,} forged")
    print(f"HTTP answers: {dict(statuses)}")
    assert done > COUNT // 20
    assert {401, 403} & statuses.keys()
    verified = running.run("audit", "verify", SERVICE, "--json")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    chain = json.loads(verified.stdout)
    assert chain["whole"]
    # What could not be read never reached the service: it is answered outside of the chain. The last start may be late.
    before, after = (
        sum(bool(one.previous_hash) for its in so_far.values() for one in its) for so_far in (found, answered())
    )
    assert before <= chain["records"] <= after
