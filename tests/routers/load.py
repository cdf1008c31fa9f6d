"""A load generator: users that ask through a proxy, on connections that stay open or on new ones."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count


@dataclass(frozen=True)
class Answer:
    """What came back for one request."""

    unit: str
    status: int
    answered: str = ""
    version: str | None = None
    epoch: str | None = None
    bucket: str | None = None


@dataclass
class Tally:
    """What became of the requests of a load."""

    requests: int = 0
    answers: list[Answer] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    resent: int = 0
    """Of requests on a connection that the proxy closed at that moment, before any byte of an answer: RFC 9112, section
    9.3.1, has clients send these again, and all of them do."""


class Client:
    """One that asks, one request after another.

    Parameters
    ----------
    port : to which a user's requests go.
    keep : connections stay open.
    """

    def __init__(self, port: Callable[[str], int], tally: Tally, *, keep: bool = True) -> None:
        self._port, self._tally, self._keep = port, tally, keep
        self._open: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    async def ask(self, unit: str, headers: Mapping[str, str]) -> Answer:
        """Send one request; an answer of status 0 is a connection that failed."""
        self._tally.requests += 1
        try:
            answer = await self._ask(unit, headers)
        except (OSError, asyncio.IncompleteReadError) as error:
            self._tally.failures.append(repr(error))
            return Answer(unit, 0)
        if answer.status != 200:
            self._tally.failures.append(str(answer))
        self._tally.answers.append(answer)
        return answer

    async def _ask(self, unit: str, headers: Mapping[str, str]) -> Answer:
        port = self._port(unit)
        kept = self._open.pop(port, None)
        if kept is not None and kept[0].at_eof():  # closed since its last answer, as any client notices
            kept[1].close()
            kept = None
        lines = ["GET / HTTP/1.1", "Host: chat", *(f"{name}: {value}" for name, value in headers.items())]
        lines += [f"X-User-Id: {unit}"] if unit else []
        lines += [] if self._keep else ["Connection: close"]
        reader, writer = kept or await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            writer.close()
            if kept is None or (isinstance(error, asyncio.IncompleteReadError) and error.partial):
                raise
            self._tally.resent += 1
            return await self._ask(unit, headers)
        status, *rest = head.decode("latin-1").lower().split("\r\n")
        told = dict(line.split(": ", 1) for line in rest if line)
        body = await reader.readexactly(int(told["content-length"]))
        if self._keep and told.get("connection") != "close":
            self._open[port] = reader, writer
        else:
            writer.close()
        number = int(status.split()[1])
        return Answer(unit, number, **json.loads(body)) if number == 200 else Answer(unit, number)

    def close(self) -> None:
        for _, writer in self._open.values():
            writer.close()


class Load:
    """Asks from a thread of its own: whole lists of users at once, and steadily in the background.

    Parameters
    ----------
    port : of the proxy, or to which a user's requests go.
    clients : connections at a time.
    """

    def __init__(self, port: int | Callable[[str], int], clients: int = 8) -> None:
        self._port = (lambda _unit: port) if isinstance(port, int) else port
        self._clients = clients
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="load", daemon=True)

    def ask(self, units: Sequence[str], **headers: str) -> list[Answer]:
        """Each of these users once; fails when one of the requests does."""
        tally, left = Tally(), iter(units)

        async def client() -> None:
            one = Client(self._port, tally)
            for unit in left:
                await one.ask(unit, headers)
            one.close()

        async def all_of_them() -> None:
            await asyncio.gather(*(client() for _ in range(self._clients)))

        asyncio.run_coroutine_threadsafe(all_of_them(), self._loop).result(120)
        assert not tally.failures, tally.failures[:5]
        return tally.answers

    @contextmanager
    def steady(self, *, per_s: float, keep: bool = True, clients: int = 8) -> Iterator[Tally]:
        """Requests of a thousand users as long as the block lasts, each on a new connection unless ``keep``."""
        tally, stop, numbers = Tally(), asyncio.Event(), count()

        async def client() -> None:
            one = Client(self._port, tally, keep=keep)
            due_s = time.monotonic()
            while not stop.is_set():
                await one.ask(f"steady-{next(numbers) % 1000}", {})
                due_s = max(due_s + clients / per_s, time.monotonic() - 1.0)
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            one.close()

        async def all_of_them() -> None:
            await asyncio.gather(*(client() for _ in range(clients)))

        running = asyncio.run_coroutine_threadsafe(all_of_them(), self._loop)
        try:
            yield tally
        finally:
            self._loop.call_soon_threadsafe(stop.set)
            running.result(30)


@contextmanager
def load(port: int | Callable[[str], int], clients: int = 8) -> Iterator[Load]:
    """Ready to ask as long as the block lasts."""
    running = Load(port, clients)
    running._thread.start()
    try:
        yield running
    finally:
        running._loop.call_soon_threadsafe(running._loop.stop)
        running._thread.join(10)
        running._loop.close()


def versions(answers: Sequence[Answer]) -> dict[str, str]:
    """The version of each user."""
    return {answer.unit: answer.answered for answer in answers}
