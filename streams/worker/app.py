"""The worker as a process: waits for the broker, checks the topics, runs until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import structlog
import uvloop

from streams.http.routes import middlewares, routes
from streams.http.tokens import Tokens, TokensError, read_tokens
from streams.http.worker_view import WorkerView
from streams.kafka import UnreachableError, wait_for_broker
from streams.settings import Settings
from streams.settings_load import SettingsError
from streams.worker.broker_port import SendFailedError
from streams.worker.commands import CommandsAgent
from streams.worker.ending import EXIT_UNREACHABLE, Ending, end_process
from streams.worker.faust_app import FaustWorker
from streams.worker.inputs import InputsAgent
from streams.worker.recorder import Recorder
from streams.worker.registry import Registry
from streams.worker.start_checks import RefusedError, check_start
from streams.worker.take_over import TakeOver
from streams.worker.ticks import tick_forever

STOP_S = 4.0
"""An orderly stop takes at most this long; what is stored by then is enough to go on from."""

HTTP_BODY_BYTES_MAX = 512 * 1024

_log = structlog.stdlib.get_logger("serinus.worker")


class Worker:
    """All parts of one worker, put together.

    Parameters
    ----------
    settings : the configuration.
    partitions : of ``canary.inputs``.
    tokens : who may ask over HTTP; None when none are configured.
    ending : what ends the process when it cannot be sure of its writes.
    """

    def __init__(
        self, settings: Settings, *, partitions: int, tokens: Tokens | None = None, ending: Ending = end_process
    ) -> None:
        self.settings, self._ending = settings, ending
        self.registry = Registry(partitions)
        self.recorder = Recorder()
        web: dict[str, Any] = {"middlewares": middlewares(tokens), "client_max_size": HTTP_BODY_BYTES_MAX}
        self.faust = FaustWorker(settings, partitions=partitions, web=web)
        self.inputs = InputsAgent(settings, self.registry, self.faust, self.recorder, ending)
        commands = CommandsAgent(settings, partitions, self.faust, self.recorder, ending)
        take_over = TakeOver(settings, self.registry, self.faust, ending)
        self.faust.on_records(inputs=self.inputs.handle, commands=commands.handle)
        self.faust.on_assignment(revoked=self.registry.suspend, recovered=take_over.run, positions=self._positions)
        self.recorder.watch(self.registry, self.faust)
        self.view = WorkerView(settings, self.registry, self.faust, self.recorder)
        self.faust.add_routes(routes(self.view))

    def _positions(self) -> dict[int, int]:
        return {number: owned.partition.position.expected for number, owned in self.registry.owned.items()}

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set; should Faust give up first, the process ends."""
        writer = f"{os.uname().nodename}-{os.getpid()}"
        ticks = asyncio.create_task(tick_forever(self.settings, self.registry, self.faust, writer=writer))
        try:
            await self.faust.app.start()
            _log.info("worker started", http=self.settings.advertised_url, brokers=self.settings.brokers)
            await self._until_stopped(stop)
            await self.inputs.close()
        finally:
            ticks.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticks
            await self.view.close()
            await self.faust.app.stop()

    async def _until_stopped(self, stop: asyncio.Event) -> None:
        """Wait. When Faust stops by itself, a process that is up and does nothing would be worse than none."""
        asked = asyncio.create_task(stop.wait())
        ended = asyncio.create_task(self.faust.ended())
        await asyncio.wait([asked, ended], return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            ended.cancel()
        else:
            self._ending("the Kafka client stopped", error=repr(ended.result()))


def run_worker(settings: Settings) -> int:
    """Run a worker until SIGTERM or SIGINT.

    Returns
    -------
    The exit code: 0 after an orderly stop, 2 when the configuration or a topic is wrong, 3 when Kafka is out of
    reach. A write that the broker did not acknowledge ends the process with 3 from inside.
    """
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        if not wait_for_broker(settings, stopped):
            return 0
        partitions = check_start(settings)
        tokens = read_tokens(Path(settings.http_tokens_file)) if settings.http_tokens_file else None
    except UnreachableError as error:
        _log.critical(str(error))
        return EXIT_UNREACHABLE
    except (RefusedError, SettingsError, TokensError) as error:
        _log.critical(str(error))
        return 2
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_main(settings, stopped, partitions=partitions, tokens=tokens))


async def _main(settings: Settings, stopped: threading.Event, *, partitions: int, tokens: Tokens | None) -> int:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if stopped.is_set():
        return 0
    # Faust asks for the current loop when it is made, so it is made inside.
    running = asyncio.create_task(Worker(settings, partitions=partitions, tokens=tokens).run(stop))
    await asyncio.wait([running, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
    if stop.is_set():
        done, _ = await asyncio.wait([running], timeout=STOP_S)
        if not done:
            # Everything is stored or will be folded again; waiting for a client that hangs helps nobody.
            _log.warning("the orderly stop took too long; the process ends now", seconds=STOP_S)
            sys.stderr.flush()
            os._exit(0)
    try:
        running.result()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        _log.critical(f"{settings.http_host}:{settings.http_port}: somebody else listens there; set http_port")
        return 2
    except SendFailedError as error:
        _log.critical("not everything could be stored at the end; it will be folded again", error=str(error))
        return EXIT_UNREACHABLE
    return 0
