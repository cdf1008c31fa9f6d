"""An event loop that runs until nothing can move, on one thread, always in the same order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class SettleLoop(asyncio.SelectorEventLoop):
    """What would go to a thread is done at once, so that nothing depends on the machine."""

    def settle(self) -> None:
        """Run until every task waits for something that only the scheduler can give."""
        ready: Any = getattr(self, "_ready")  # noqa: B009 (asyncio keeps it to itself)
        while ready:
            self.call_soon(self.stop)
            self.run_forever()

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Call it here and now."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future
