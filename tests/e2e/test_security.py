"""A Kafka with TLS, SCRAM users and ACLs: each part has just the rights it needs, and nobody else can act for it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._scram import (
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from deploy.kafka.layout import free_port
from schemas.command import Command, Verb, encode_command
from tests.conftest import ROOT
from tests.e2e.own_kafka import own_kafka
from tests.e2e.pipeline import Pipeline, wait_for
from tests.e2e.tally import as_json

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

USERS = ("ingest", "worker", "chat", "gateway", "ann", "teller")
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
SECURE_OFFSET = 13
"""Of the protected listener's port: the local cluster leaves these free."""


class Secured(NamedTuple):
    """A broker with a listener for everybody and one, without a password, for its own administration."""

    admin: str
    brokers: str
    ca: Path

    def client(self, user: str, password: str | None = None) -> dict[str, str]:
        """librdkafka's properties of a user."""
        return {
            "bootstrap.servers": self.brokers,
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": password or f"{user}-password",
            "ssl.ca.location": str(self.ca),
        }

    def environment(self, user: str, password: str | None = None) -> dict[str, str]:
        """The same as settings of `serinus`."""
        properties = self.client(user, password)
        del properties["bootstrap.servers"]
        return {f"SERINUS_KAFKA_{name.upper().replace('.', '_')}": value for name, value in properties.items()}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A broker with a certificate of its own, six users, and the topics' rights by the script that users run."""
    folder = tmp_path_factory.mktemp("secured")
    key, ca, both = folder / "key.pem", folder / "ca.pem", folder / "both.pem"
    subject = ["-subj", "/CN=serinus-test", "-addext", "subjectAltName=IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*make, "-keyout", key, "-out", ca], check=True, capture_output=True, timeout=60)
    both.write_text(key.read_text() + ca.read_text())
    port = free_port(1)
    plain, controller, secure = (f"127.0.0.1:{port + offset}" for offset in (0, 10, SECURE_OFFSET))
    (folder / "extra.properties").write_text(
        f"""
        listeners=PLAINTEXT://{plain},CONTROLLER://{controller},SECURE://{secure}
        advertised.listeners=PLAINTEXT://{plain},SECURE://{secure}
        listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL
        sasl.enabled.mechanisms=SCRAM-SHA-512
        listener.name.secure.scram-sha-512.sasl.jaas.config={SCRAM} required;
        ssl.keystore.type=PEM
        ssl.keystore.location={both}
        authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
        super.users=User:ANONYMOUS
        """
    )
    with own_kafka(folder / "data", port=port, properties=folder / "extra.properties") as admin:
        found = Secured(admin, secure, ca)
        client = AdminClient({"bootstrap.servers": admin})
        how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        upserts: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(user, how, f"{user}-password".encode()) for user in USERS
        ]
        for answer in client.alter_user_scram_credentials(upserts).values():
            answer.result(20)
        yield found


@pytest.fixture
def running(secured: Secured, tmp_path: Path, topic_prefix: str) -> Iterator[Pipeline]:
    """Topics made by the administrator, rights set by the script, ingest and worker each as its own user."""
    Pipeline(secured.admin, topic_prefix, tmp_path).create_topics()
    roles = {"ingest": "ingest", "worker": "worker", "services": "chat", "routers": "gateway", "operators": "ann"}
    roles |= {"hooks": "teller"}
    script = [sys.executable, str(ROOT / "deploy/kafka/acls.py"), "--brokers", secured.admin, "--prefix", topic_prefix]
    for role, user in roles.items():
        script += [f"--{role}", f"User:{user}"]
    done = subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    pipeline = Pipeline(secured.brokers, topic_prefix, tmp_path)
    try:
        yield pipeline
    finally:
        pipeline.stop()


def refused(secured: Secured, user: str, topic: str, value: bytes, password: str | None = None) -> KafkaError | None:
    """What the broker says to a record of a user; None when it takes it."""
    said: list[KafkaError | None] = []
    producer = Producer(secured.client(user, password) | {"message.timeout.ms": 8_000, "log_level": 0})
    producer.produce(topic, value, key=b"chat", on_delivery=lambda error, _: said.append(error))
    producer.flush(12)
    assert len(said) == 1
    return said[0]


def test_a_release_runs_with_just_the_rights_of_the_arrows(secured: Secured, running: Pipeline) -> None:
    """Events by the service, judgement by the worker, an operator's order, the route read by the router, a hook run."""
    running.start("ingest", SERINUS_INGEST_HTTP_PORT=str(free_port(1)), **secured.environment("ingest"))
    running.environment |= secured.environment("worker")
    worker = running.worker()
    worker.wait_ready()
    running.environment |= secured.environment("ann")
    now_ms = int(time.time() * 1000)
    producer = Producer(secured.client("chat"))
    for number in range(300):
        event = as_json(service="chat", version="v1", ts_ms=now_ms, latency_ms=10.0 + number)
        producer.produce(running.topic("inference.events"), event)
    assert producer.flush(20) == 0
    wait_for(lambda: worker.counted("chat") >= 300, 30, what="300 events", dump=running.logs)
    plan = running.folder / "plan.yaml"
    plan.write_text(
        "service: chat\nbaseline: v1\ncanaries: [v2]\nramp: {kind: stages, steps: [{weight: 5%, hold: 1m}]}\n"
        "metrics: [{name: error_rate, worse: higher, margin: 1%}]\n"
        "hooks: [{when: [start], command: touch}]\n"
    )
    told = running.folder / "told"
    may = {"SERINUS_HOOKS_COMMANDS": json.dumps({"touch": ["touch", str(told)]})}
    hooks = running.start("hooks", SERINUS_HOOKS_HTTP_PORT=str(free_port(1)), **secured.environment("teller"), **may)
    wait_for(lambda: "partitions taken" in hooks.text(), 60, what="hooks joined", dump=hooks.text)
    done = running.run("release", "start", str(plan), "--reason", "a protected start")
    assert done.returncode == 0, done.stdout + done.stderr + running.logs()
    group = {"group.id": running.topic("gateway-1"), "auto.offset.reset": "earliest"}
    router = Consumer(secured.client("gateway") | group)
    router.subscribe([running.topic("canary.control")])
    routes: list[dict[str, object]] = []

    def routed() -> bool:
        message = router.poll(0.5)
        if message is not None and message.error() is None and message.value():
            routes.append(json.loads(message.value() or b""))
        return bool(routes)

    wait_for(routed, 30, what="a route", dump=running.logs)
    router.close()
    assert routes[0]["weights_ppm"] == {"v1": 950_000, "v2": 50_000}
    wait_for(told.exists, 30, what="the hook's command was run", dump=hooks.text)


def test_nobody_can_act_for_another(secured: Secured, running: Pipeline) -> None:
    """A service cannot order, decide, report or route; an operator cannot forge events, reports or routes."""
    order = encode_command(Command("c", "chat", Verb.PROMOTE, "ann", "trust me", 0))
    writable = {"chat": "inference.events", "ann": "canary.commands"}
    topics = (
        "inference.events",
        "canary.inputs",
        "canary.commands",
        "canary.decisions",
        "canary.control",
        "canary.bases",
    )
    for user in ("chat", "gateway", "ann", "ingest", "teller"):
        for topic in topics:
            error = refused(secured, user, running.topic(topic), order)
            allowed = topic == writable.get(user) or (user, topic) == ("ingest", "canary.inputs")
            if allowed:
                assert error is None, (user, topic, error)
            else:
                assert error is not None and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED, (user, topic, error)


def test_wrong_credentials_end_with_one_clear_line(secured: Secured, running: Pipeline) -> None:
    """A command with a wrong password says that it was the password, and does not print it."""
    running.environment |= secured.environment("ann", "a-wrong-password") | {"SERINUS_LOG_FORMAT": "console"}
    done = running.run("topics", "check")
    assert done.returncode == 3 and len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "uthentication" in done.stderr and "a-wrong-password" not in done.stdout + done.stderr
    shown = running.run("config")
    assert shown.returncode == 0 and "a-wrong-password" not in shown.stdout


def test_the_doctor_names_the_rights_that_are_missing(secured: Secured, running: Pipeline) -> None:
    """Run as one part alone, it says what the others need; a topic that is hidden is not called missing only."""
    running.environment |= secured.environment("ingest")
    done = running.run("doctor", "--json")
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    lacking = [one["what"] for one in findings if one["about"] == "rights" and one["level"] == "problem"]
    assert any("canary.control" in one and "not visible" in one for one in lacking), findings
    assert any("canary.inputs: this principal may not READ" in one for one in lacking), findings
    assert not any("inference.events:" in one for one in lacking), lacking
