"""`serinus apply` on a real Kafka with a real worker."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from schemas.command import Command, Verb, decode_command
from schemas.decision import Action, Decision, State, decode_record
from streams.kafka_reader import read_to_end
from streams.settings import Settings
from streams.topics import COMMANDS, DECISIONS
from tests.e2e.pipeline import Pipeline, pipeline
from tests.e2e.plans import stages

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

APPLIERS = 4


@pytest.fixture
def running(kafka_broker: str, topic_prefix: str, tmp_path: Path) -> Iterator[Pipeline]:
    """Topics of this test's own, and a worker on them."""
    with pipeline(kafka_broker, topic_prefix, tmp_path) as started:
        started.worker().wait_ready()
        yield started


def plan(service: str, hold: str = "10m") -> str:
    return stages(service, ("5%", hold), ("50%", "10m"))


def decisions(running: Pipeline, service: str) -> list[Decision]:
    settings = Settings(brokers=running.brokers, topic_prefix=running.prefix)
    records = [decode_record(one.value() or b"") for one in read_to_end(settings, settings.topic(DECISIONS))]
    return [one for one in records if isinstance(one, Decision) and one.service == service]


def commands(running: Pipeline) -> dict[str, Command]:
    settings = Settings(brokers=running.brokers, topic_prefix=running.prefix)
    asked = [decode_command(one.value() or b"") for one in read_to_end(settings, settings.topic(COMMANDS))]
    return {one.id: one for one in asked}


def folder(where: Path, **files: str) -> Path:
    where.mkdir()
    for service, text in files.items():
        (where / f"{service}.yaml").write_text(text)
    return where


def apply(running: Pipeline, where: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return running.run("apply", str(where), "--wait", "30", *words)


def test_what_runs_follows_the_folder(running: Pipeline, tmp_path: Path) -> None:
    """Started once, replaced when the plan changes, not tried again after a rollback, aborted when the plan is gone."""
    first = folder(tmp_path / "first", chat=plan("chat"), code=plan("code"))
    done = apply(running, first)
    assert done.returncode == 0, done.stderr + running.logs()
    assert [one.action for one in decisions(running, "chat")] == [Action.START]
    again = apply(running, first)
    assert again.returncode == 0 and again.stdout.count("nothing to do") == 2
    assert len(commands(running)) == 2

    second = folder(tmp_path / "second", chat=plan("chat", "20m"))
    dry = apply(running, second, "--dry-run")
    assert dry.returncode == 1
    assert "    - ramp.steps[0].hold: 10m\n    + ramp.steps[0].hold: 20m\n" in dry.stdout
    assert len(commands(running)) == 2
    done = apply(running, second)
    assert done.returncode == 0, done.stderr
    assert "code: left alone" in done.stdout
    replaced = [(one.action, one.release_id) for one in decisions(running, "chat")]
    assert [action for action, _ in replaced] == [Action.START, Action.ABORT, Action.START]
    assert replaced[0][1] == replaced[1][1] != replaced[2][1]

    assert running.run("release", "rollback", "chat", "--reason", "looks odd").returncode == 0
    known = len(commands(running))
    refused = apply(running, second)
    assert refused.returncode == 1 and "chat.yaml is not tried again by itself" in refused.stdout
    assert len(commands(running)) == known

    pruned = apply(running, second, "--prune", "--retry", "--json")
    assert pruned.returncode == 0, pruned.stderr
    lines = [json.loads(line) for line in pruned.stdout.splitlines()]
    assert [(line["service"], line["deed"]) for line in lines[:2]] == [("chat", "start"), ("code", "abort")]
    assert [(line["service"], line["action"]) for line in lines[2:]] == [("chat", "start"), ("code", "abort")]
    assert decisions(running, "code")[-1].state is State.ABORTED
    assert decisions(running, "chat")[-1].state is State.RAMPING


def test_appliers_at_the_same_time_do_not_overwrite_each_other(running: Pipeline, tmp_path: Path) -> None:
    """Whoever is carried out had seen the decision right before; whoever had not is refused, and says so."""
    folders = [folder(tmp_path / str(at), chat=plan("chat", f"{20 + at}m")) for at in range(APPLIERS)]
    assert apply(running, folder(tmp_path / "before", chat=plan("chat"))).returncode == 0
    with ThreadPoolExecutor(APPLIERS) as pool:
        ends = list(pool.map(lambda where: apply(running, where), folders))
    found, asked = decisions(running, "chat"), commands(running)
    starts = [(at, one) for at, one in enumerate(found) if one.action is Action.START][1:]
    assert len(starts) == sum(end.returncode == 0 for end in ends) >= 1
    for at, start in starts:
        assert found[at - 1].action is Action.ABORT
        told = asked[start.command_id or ""]
        assert told.command is Verb.START and told.expected_epoch == found[at - 2].epoch
    for end in ends:
        assert end.returncode == 0 or "something was decided meanwhile; look again" in end.stderr
