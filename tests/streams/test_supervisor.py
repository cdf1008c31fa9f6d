"""Real child processes under the supervisor: small Python programs in place of ingest and worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from streams import supervisor
from streams.supervisor import Command, Supervisor

LOYAL = "import time, pathlib, sys, os; pathlib.Path(sys.argv[1]).write_text(str(os.getpid())); time.sleep(60)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + LOYAL
MORTAL = "import pathlib, sys; p = pathlib.Path(sys.argv[1]); p.open('a').write('x')"


def command(name: str, program: str, note: Path) -> Command:
    return Command(name, (sys.executable, "-c", program, str(note)), os.environ)


def written(note: Path, timeout_s: float = 10.0) -> str:
    deadline = time.monotonic() + timeout_s
    while not (note.exists() and note.read_text()):
        assert time.monotonic() < deadline, f"{note} was not written"
        time.sleep(0.02)
    return note.read_text()


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not yet waited for does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def test_stop_ends_every_child(tmp_path: Path) -> None:
    """When told to stop, the supervisor ends all children and says 0."""
    stop = threading.Event()
    notes = [tmp_path / "a", tmp_path / "b"]
    answers: list[int] = []
    ours = Supervisor([command(note.name, LOYAL, note) for note in notes], stop)
    running = threading.Thread(target=lambda: answers.append(ours.run()))
    running.start()
    pids = [int(written(note)) for note in notes]
    stop.set()
    running.join(10)
    assert answers == [0]
    assert not any(alive(pid) for pid in pids)


def test_a_child_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that ignores SIGTERM is killed after the grace, and the exit code says that it had to be."""
    monkeypatch.setattr(supervisor, "GRACE_S", 0.3)
    stop = threading.Event()
    note = tmp_path / "deaf"
    answers: list[int] = []
    ours = Supervisor([command("deaf", DEAF, note)], stop)
    running = threading.Thread(target=lambda: answers.append(ours.run()))
    running.start()
    pid = int(written(note))
    stop.set()
    running.join(10)
    assert answers == [1]
    assert not alive(pid)


def test_a_child_that_keeps_dying_is_restarted_and_then_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each pause of the backoff allows one restart; after the last one everything stops with 1."""
    monkeypatch.setattr(supervisor, "BACKOFF_S", (0.01, 0.01, 0.01))
    note, other = tmp_path / "mortal", tmp_path / "loyal"
    commands = [command("loyal", LOYAL, other), command("mortal", MORTAL, note)]
    assert Supervisor(commands, threading.Event()).run() == 1
    assert note.read_text() == "xxxx"
    assert not other.exists() or not alive(int(other.read_text()))


def test_a_wrong_configuration_is_not_tried_again(tmp_path: Path) -> None:
    """Exit code 2 of a child ends everything at once with 2."""
    note = tmp_path / "wrong"
    assert Supervisor([command("wrong", MORTAL + "; sys.exit(2)", note)], threading.Event()).run() == 2
    assert note.read_text() == "x"


def test_a_child_that_was_steady_starts_with_the_first_pause_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deaths far apart never use up the restarts: after a steady life the count begins anew."""
    monkeypatch.setattr(supervisor, "BACKOFF_S", (0.01,))
    monkeypatch.setattr(supervisor, "STEADY_S", 0.0)
    stop = threading.Event()
    note = tmp_path / "mortal"
    running = threading.Thread(target=Supervisor([command("mortal", MORTAL, note)], stop).run)
    running.start()
    deadline = time.monotonic() + 20
    while len(written(note)) < 4:
        assert running.is_alive() and time.monotonic() < deadline
        time.sleep(0.02)
    stop.set()
    running.join(10)
    assert not running.is_alive()


def test_a_child_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    """A child that follows its parent ends when the parent is killed with SIGKILL."""
    note = tmp_path / "orphan"
    child = f"from streams.supervisor import follow_parent; import sys; follow_parent(int(sys.argv[2]), 0.05); {LOYAL}"
    parent = (
        "import os, subprocess, sys, time;"
        f"subprocess.Popen([sys.executable, '-c', {child!r}, sys.argv[1], str(os.getpid())]); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", parent, str(note)])
    pid = int(written(note))
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 10
    while alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)
