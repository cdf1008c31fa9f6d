"""`serinus route watch` on the embedded broker: every change, a lease that runs out, and commands that fail."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from schemas.decision import State
from schemas.route import Route, encode_route
from schemas.rule import Rule
from streams.environment import environment_of
from streams.kafka import producer
from streams.settings import Settings
from streams.topics import CONTROL
from tests.e2e.pipeline import wait_for
from tests.streams.cli.conftest import Run


def publish(settings: Settings, epoch: int, share_ppm: int, *, lease_ms: int = 30_000) -> None:
    route = Route(
        "chat",
        "chat-1",
        epoch,
        State.RAMPING,
        {"v1": 1_000_000 - share_ppm, "v2": share_ppm},
        "v1",
        "salt",
        time.time_ns() // 1_000_000,
        lease_ms,
        (Rule(("internal",), {"v2": 1_000_000}),),
    )
    client = producer(settings, "test")
    client.produce(settings.topic(CONTROL), encode_route(route), b"chat")
    assert client.flush(10) == 0


@contextmanager
def watching(settings: Settings, *words: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, **environment_of(settings, {})}
    command = [sys.executable, "-m", "streams.cli", "route", "watch", "chat", "--fallback", "v1", *words]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0


def line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    found: dict[str, Any] = json.loads(process.stdout.readline())
    return found


def test_each_change_is_a_line_and_a_lapsed_lease_is_one(broker: Settings) -> None:
    """What a script needs to know, and the fallback when nobody renews."""
    publish(broker, 1, 10_000)
    publish(broker, 2, 50_000)
    with watching(broker) as process:
        first = line(process)
        assert (first["epoch"], first["weights_ppm"]) == (2, {"v1": 950_000, "v2": 50_000}), "old ones are no change"
        assert (first["salt"], first["state"], first["fallback"], first["reason"]) == ("salt", "ramping", "v1", "")
        assert first["rules"] == [{"segments": ["internal"], "weights_ppm": {"v2": 1_000_000}}]
        publish(broker, 3, 250_000, lease_ms=2_000)
        assert line(process)["epoch"] == 3
        last = line(process)
        assert (last["epoch"], last["weights_ppm"], last["rules"]) == (None, {"v1": 1_000_000}, [])
        assert last["reason"] == "the lease of epoch 3 has run out and was not renewed"


def test_a_command_is_given_the_route_and_run_again_until_it_works(broker: Settings, tmp_path: Path) -> None:
    """It fails twice; then it has the newest route on its input, and is not run for a renewal."""
    script, seen = tmp_path / "apply.py", tmp_path / "seen"
    script.write_text(
        f"import json, pathlib, sys\n"
        f"seen = pathlib.Path({str(seen)!r})\n"
        f"before = seen.read_text() if seen.exists() else ''\n"
        f"seen.write_text(before + str(json.load(sys.stdin)['epoch']) + ' ')\n"
        f"sys.exit(before.count(' ') < 2)\n"
    )
    publish(broker, 4, 10_000)
    with watching(broker, "--exec", shlex.join([sys.executable, str(script)])) as process:
        wait_for(lambda: seen.exists() and seen.read_text() == "4 4 4 ", 30, what="the third run works")
        publish(broker, 4, 10_000)
        publish(broker, 5, 20_000)
        wait_for(lambda: seen.read_text() == "4 4 4 5 ", 30, what="the next route is given")
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert process.stderr.read().count("ended with 1; it is run again") == 2


def test_without_any_route_the_fallback_is_in_force(broker: Settings) -> None:
    """Nobody has released anything: what the router starts with is the baseline, and not what was left in it."""
    with watching(broker) as process:
        found = line(process)
        assert (found["weights_ppm"], found["reason"]) == ({"v1": 1_000_000}, "no route for chat has arrived")


def test_a_command_that_is_none_is_refused(run: Run) -> None:
    """An empty one would be run for nothing."""
    result = run("route", "watch", "chat", "--fallback", "v1", "--exec", " ")
    assert (result.exit_code, "--exec is empty" in result.stderr) == (2, True)
