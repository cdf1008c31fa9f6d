"""``python -m tests.fuzz.http_server``: the worker's real HTTP interface over a worker in memory, to be fuzzed.

Commands that come in are folded, so releases start, stop and are refused. Prints its URL, and serves until it is ended.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from aiohttp import web

from schemas.inputs import Tick, encode_input
from streams.http import orders
from streams.http.routes import middlewares, routes
from streams.http.tokens import Tokens, read_tokens
from streams.http.worker_view import WorkerView
from streams.settings import Settings
from streams.topics import COMMANDS
from streams.worker.app import HTTP_BODY_BYTES_MAX
from tests.fuzz.fuzz import quiet
from tests.fuzz.worker_reader import WorkerReader
from tests.streams.worker.inputs_log import random_log

_TICK_S = 0.5


class Served(WorkerReader):
    """A worker that folds what was asked over HTTP."""

    def __init__(self) -> None:
        super().__init__()
        self._asked: asyncio.Queue[bytes | None] = asyncio.Queue()

    def _sent(self, topic: str, value: bytes | None, partition: int | None) -> None:
        if topic == COMMANDS:
            self._asked.put_nowait(value)
        else:
            super()._sent(topic, value, partition)

    async def answer(self) -> None:
        """Take commands until it is cancelled, and a tick now and then, without which a worker is not ready."""
        while True:
            try:
                await self.command(await asyncio.wait_for(self._asked.get(), _TICK_S))
            except TimeoutError:
                await self.input(encode_input(Tick("fuzz")))


async def serve(tokens: Tokens | None) -> None:
    """Serve on a free port of 127.0.0.1."""
    worker = Served()
    for record, _ in random_log(7, steps=60):
        await worker.input(encode_input(record))
    view = WorkerView(Settings(), worker.registry, worker.port, worker.recorder)
    application = web.Application(middlewares=middlewares(tokens), client_max_size=HTTP_BODY_BYTES_MAX)
    application.add_routes(routes(view))
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    [(host, port)] = runner.addresses
    print(f"http://{host}:{port}", flush=True)
    await worker.answer()


def main() -> int:
    """Runs until it is ended."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.http_server", description=__doc__)
    parser.add_argument("--tokens", type=Path, help="as http_tokens_file")
    given = parser.parse_args()
    # A command that is sent twice is answered once: who sends it again waits in vain.
    orders.ANSWER_S = 0.2
    with quiet():
        asyncio.run(serve(None if given.tokens is None else read_tokens(given.tokens)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
