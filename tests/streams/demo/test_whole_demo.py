from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from streams.kafka import admin
from streams.settings import Settings

DEMO = (sys.executable, "-m", "streams.cli", "demo")


def environ(data: Path, **more: str) -> dict[str, str]:
    """Nothing configured, and a directory for temporary files that can be looked into afterwards."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SERINUS_")}
    return plain | {"TMPDIR": str(data)} | more


def check_ended_well(done: subprocess.CompletedProcess[str], data: Path) -> dict[str, Any]:
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["type"] for line in lines[:-1]} == {"decision"}
    ended: dict[str, Any] = lines[-1]
    assert (ended["type"], ended["succeeded"]) == ("summary", True)
    chat, code = ended["services"]
    assert (chat["state"], code["state"]) == ("rolled_back", "promoted")
    assert chat["canary_share_ppm_max"] <= 100_000
    assert code["canary_share_ppm_max"] == 1_000_000
    # The share that the requests really took, not the one that was decided.
    assert 0 < chat["requests"]["v2"] < 0.11 * sum(chat["requests"].values())
    assert not list(data.iterdir()), "a demo that went well leaves nothing behind"
    return ended


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


@pytest.mark.slow
def test_the_demo_decides_right_within_a_minute(tmp_path: Path) -> None:
    """`serinus demo`, as a stranger runs it: chat rolled back at 10 % at most, code promoted, exit 0 within 60 s."""
    done = subprocess.run(
        (*DEMO, "--json"), env=environ(tmp_path), capture_output=True, text=True, timeout=60, check=False
    )
    assert check_ended_well(done, tmp_path)["brokers"] == "embedded"


@pytest.mark.slow
@pytest.mark.kafka
def test_the_demo_does_the_same_on_a_real_kafka(kafka_broker: str, tmp_path: Path) -> None:
    """The same on Apache Kafka, named by the environment, whose topics it takes away again."""
    done = subprocess.run(
        (*DEMO, "--json"),
        env=environ(tmp_path, SERINUS_BROKERS=kafka_broker),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert check_ended_well(done, tmp_path)["brokers"] == kafka_broker
    left = admin(Settings(brokers=kafka_broker)).list_topics(timeout=10).topics
    assert not [name for name in left if name.startswith("demo-")]


@pytest.mark.slow
def test_ctrl_c_stops_everything_within_five_seconds(tmp_path: Path) -> None:
    """An interrupted demo ends with 130, stops its processes and leaves no file."""
    with subprocess.Popen(DEMO, env=environ(tmp_path), stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "start -> ramping" in line:
                break
        pids = children_of(demo.pid)
        assert len(pids) == 2
        began_s = time.monotonic()
        demo.send_signal(signal.SIGINT)
        demo.stdout.read()
        assert demo.wait(10) == 130
        assert time.monotonic() - began_s < 5.5
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert not list(tmp_path.iterdir())
