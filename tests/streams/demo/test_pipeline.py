from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from streams import topics
from streams.demo import pipeline
from streams.demo.pipeline import delete_topics, demo_settings, running
from streams.kafka import admin
from streams.settings import Settings
from streams.supervisor import Command


def test_two_demos_meet_nowhere(tmp_path: Path) -> None:
    """Topics, groups and ports of one demo are no other demo's, and its worker listens to this machine only."""
    one, two = (demo_settings(Settings(http_host="0.0.0.0", http_advertised_url="http://x:1"), tmp_path) for _ in "ab")
    assert one.topic_prefix != two.topic_prefix
    assert len({one.http_port, one.ingest_http_port, two.http_port, two.ingest_http_port}) == 4
    assert one.advertised_url == f"http://127.0.0.1:{one.http_port}"


def test_the_processes_write_to_the_log_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What the pipeline says goes to its file: a line on the terminal would tear the table."""

    def talker(_settings: Settings, name: str) -> Command:
        # One write for each line: two processes share the file, and `print` may send a line and its end apart.
        lines = f"os.write(1, b'{name} out\\n'); os.write(2, b'{name} err\\n')"
        said = f"import os, time; {lines}; time.sleep(60)"
        return Command(name, (sys.executable, "-c", said), os.environ)

    monkeypatch.setattr(pipeline, "child", talker)
    log = tmp_path / "pipeline.log"
    wanted = {"ingest out", "ingest err", "worker out", "worker err"}
    with running(Settings(), log) as thread:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not (log.exists() and set(log.read_text().splitlines()) >= wanted):
            time.sleep(0.02)
        assert thread.is_alive()
    assert set(log.read_text().splitlines()) == wanted
    assert not thread.is_alive()
    assert "out" not in capfd.readouterr().out


@pytest.mark.kafka
def test_only_the_demos_topics_are_deleted(kafka_broker: str, topic_prefix: str, tmp_path: Path) -> None:
    """On somebody else's Kafka the demo takes away what it made and nothing else."""
    other = Settings(brokers=kafka_broker, topic_prefix=topic_prefix)
    own = demo_settings(other, tmp_path)
    topics.create(other)
    topics.create(own)
    assert delete_topics(own) == []
    deadline = time.monotonic() + 10
    left = set(admin(own).list_topics(timeout=10).topics)
    while time.monotonic() < deadline and any(name.startswith(own.topic_prefix) for name in left):
        time.sleep(0.2)  # the broker has deleted them; what it tells clients follows a little later
        left = set(admin(own).list_topics(timeout=10).topics)
    assert not [name for name in left if name.startswith(own.topic_prefix)]
    assert {topic.name for topic in topics.topics(other)} <= left
    delete_topics(other)
