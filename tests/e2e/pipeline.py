"""The pipeline as its users run it: `serinus` processes against a real broker, with topics of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from schemas.report import PANE_MS
from tests.conftest import free_port

DAY_MS = 24 * 3600 * 1000


class Process:
    """One `serinus` command, with its output in a file."""

    def __init__(self, arguments: list[str], environment: dict[str, str], log: Path) -> None:
        self.arguments, self.environment, self.log = arguments, environment, log
        self.popen = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as out:
            return subprocess.Popen(
                [sys.executable, "-m", "streams.cli", *self.arguments],
                env=os.environ | self.environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """`kill -9`: no time for anything."""
        self.popen.kill()
        self.popen.wait(10)

    def restart(self) -> None:
        self.popen = self._start()

    def stop(self, timeout_s: float = 10.0) -> int:
        """SIGTERM, and the exit code."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        try:
            return self.popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def text(self) -> str:
        return self.log.read_text(errors="replace")


class Pipeline:
    """Topics with a prefix of their own on one broker, and the processes that a test starts on them."""

    def __init__(self, brokers: str, prefix: str, folder: Path, **settings: str) -> None:
        self.brokers, self.prefix, self.folder = brokers, prefix, folder
        self.environment = {
            "SERINUS_BROKERS": brokers,
            "SERINUS_TOPIC_PREFIX": prefix,
            "SERINUS_LOG_FORMAT": "json",
            "SERINUS_DATA_DIR": str(folder / "data"),
            **settings,
        }
        self.processes: list[Process] = []

    def topic(self, name: str) -> str:
        return f"{self.prefix}{name}"

    def run(self, *arguments: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "streams.cli", *arguments],
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def create_topics(self) -> None:
        done = self.run("topics", "create")
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self, *arguments: str, **environment: str) -> Process:
        """Start a command in the background."""
        log = self.folder / f"{arguments[0]}-{len(self.processes)}.log"
        process = Process(list(arguments), self.environment | environment, log)
        self.processes.append(process)
        return process

    def ingest(self, port: int = 0) -> Process:
        return self.start("ingest", SERINUS_INGEST_HTTP_PORT=str(port or free_port()))

    def worker(self) -> Worker:
        port = free_port()
        process = self.start("worker", SERINUS_HTTP_PORT=str(port))
        return Worker(process, f"http://127.0.0.1:{port}")

    def stop(self) -> None:
        for process in self.processes:
            if process.popen.poll() is None:
                process.kill()

    def logs(self) -> str:
        """The end of every log, for the message of a failing test."""
        return "\n".join(f"--- {p.log.name}\n{p.text()[-3000:]}" for p in self.processes)


class Worker:
    """A worker process and its HTTP."""

    def __init__(self, process: Process, url: str) -> None:
        self.process, self.url = process, url

    def get(self, path: str, timeout_s: float = 10.0) -> Any:
        """The JSON (or text) of a GET; raises :class:`urllib.error.HTTPError` on a status of 400 or more."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=timeout_s) as response:
            body = response.read()
        return json.loads(body) if "json" in response.headers.get("Content-Type", "") else body.decode()

    def post(self, path: str, body: bytes, timeout_s: float = 20.0) -> Any:
        """The JSON of the answer to a POST; raises :class:`urllib.error.HTTPError` on a status of 400 or more."""
        request = urllib.request.Request(f"{self.url}{path}", data=body, method="POST")
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            return json.loads(response.read())

    def rows(self, service: str, timeout_s: float = 60.0) -> list[dict[str, Any]]:
        """Everything that the windows table holds of a service, as one window two days long."""
        now_ms = int(time.time() * 1000)
        span = f"from_ms={now_ms - DAY_MS}&to_ms={now_ms + DAY_MS}&window_ms={2 * DAY_MS}"
        page = self.get(f"/v1/services/{urllib.parse.quote(service)}/windows?{span}", timeout_s)
        assert page["next_from_ms"] is None
        found: list[dict[str, Any]] = page["rows"]
        return found

    def panes(self, service: str, since_ms: int, timeout_s: float = 60.0) -> list[dict[str, Any]]:
        """What the windows table holds of a service since then, pane by pane, from as many pages as it takes."""
        found: list[dict[str, Any]] = []
        from_ms: int | None = since_ms
        to_ms = int(time.time() * 1000) + PANE_MS
        while from_ms is not None:
            span = f"from_ms={from_ms}&to_ms={to_ms}&window_ms={PANE_MS}&limit=10000"
            page = self.get(f"/v1/services/{urllib.parse.quote(service)}/windows?{span}", timeout_s)
            found += page["rows"]
            from_ms = page["next_from_ms"]
        return found

    def counted(self, service: str) -> int:
        """Requests of a service in the windows table; 0 while nobody has heard of it or it is being handed over."""
        try:
            return sum(row["n"] for row in self.rows(service))
        except urllib.error.HTTPError as error:
            if error.code not in {404, 503}:
                raise
            return 0

    def ready(self) -> bool:
        try:
            self.get("/readyz", timeout_s=2.0)
        except (urllib.error.URLError, OSError):
            return False
        return True

    def wait_ready(self, timeout_s: float = 40.0) -> float:
        """Seconds until `/readyz` says yes."""
        return wait_for(self.ready, timeout_s, what=f"{self.url}/readyz", dump=self.process.text)


def wait_for(done: Callable[[], bool], timeout_s: float, *, what: str, dump: Callable[[], str] = lambda: "") -> float:
    """Poll until ``done``; returns the seconds it took, fails with ``what`` and the logs when it takes too long."""
    start = time.monotonic()
    while time.monotonic() - start < timeout_s:
        if done():
            return time.monotonic() - start
        time.sleep(0.1)
    raise AssertionError(f"not within {timeout_s:.0f} s: {what}\n{dump()[-6000:]}")


@contextmanager
def pipeline(brokers: str, prefix: str, folder: Path, **settings: str) -> Iterator[Pipeline]:
    """A pipeline with its topics created; whatever a test leaves running is killed at the end."""
    running = Pipeline(brokers, prefix, folder, **settings)
    try:
        running.create_topics()
        yield running
    finally:
        running.stop()
