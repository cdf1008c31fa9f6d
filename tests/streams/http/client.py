"""The worker's HTTP interface over a registry in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from streams.http.routes import middlewares, routes
from streams.http.tokens import Tokens
from streams.http.worker_view import WorkerView
from streams.settings import Settings
from tests.streams.worker.inputs_log import Log
from tests.streams.worker.lifetimes import Lifetime
from tests.streams.worker.memory_broker import MemoryBroker

Client = TestClient[web.Request, web.Application]


class Running:
    """One worker that has read a log, and its HTTP server."""

    def __init__(self, log: Log, *, settings: Settings | None = None, tokens: Tokens | None = None) -> None:
        self.tokens = tokens
        self.broker = MemoryBroker()
        self.worker = Lifetime(self.broker, log)
        self.settings = settings or Settings()
        self.view = WorkerView(self.settings, self.worker.registry, self.broker, self.worker.recorder)
        self.worker.recorder.watch(self.worker.registry, self.broker)

    def application(self) -> web.Application:
        application = web.Application(middlewares=middlewares(self.tokens))
        application.add_routes(routes(self.view))
        return application


def ask(running: Running, questions: Callable[[Client], Awaitable[None]], *, read: bool = True) -> None:
    """Let the worker read its log, then ask it over HTTP."""

    async def run() -> None:
        if read:
            await running.worker.read_all()
        try:
            async with TestClient(TestServer(running.application())) as client:
                await questions(client)
        finally:
            await running.view.close()

    asyncio.run(run())
