"""What the tests of both proxies have: Kafka, the driver, the proxy, its users."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from tests.e2e.audit import settings_of
from tests.e2e.pipeline import Pipeline, Process, wait_for
from tests.routers.control import Control
from tests.routers.load import Load
from tests.routers.proxies import Proxy

IN_A_ROW = 12
"""Answers alike before a change counts as done: nginx' old workers answer a little longer than its new ones begin."""


class Rig:
    """A proxy that follows the routes which a test publishes."""

    def __init__(self, pipeline: Pipeline, proxy: Proxy, users: Load) -> None:
        self.pipeline, self.proxy, self.users = pipeline, proxy, users
        self.control = Control(settings_of(pipeline))
        self.driver: Process = pipeline.start(*proxy.driver())

    def __enter__(self) -> Self:
        self.proxy.await_configuration()
        self.proxy.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        assert self.driver.stop(70) in {0, -9}, self.driver.text()
        self.control.close()

    def until(self, epoch: int | None, timeout_s: float = 30.0) -> float:
        """Wait until the proxy splits by this epoch, or by none; returns the seconds."""
        wanted, alike = None if epoch is None else str(epoch), 0

        def reached() -> bool:
            nonlocal alike
            answers = self.users.ask([f"probe-{number}" for number in range(4)])
            alike = alike + 4 if all(answer.epoch == wanted for answer in answers) else 0
            return alike >= IN_A_ROW

        return wait_for(reached, timeout_s, what=f"epoch {epoch} at {self.proxy.kind}", dump=self.driver.text)

    def publish(self, canary_ppm: int, *, lease_ms: int = 30_000, rules: dict[str, int] | None = None) -> int:
        """A route, and wait until it is in force; returns its epoch."""
        self.control.publish(canary_ppm, lease_ms=lease_ms, rules=rules)
        self.until(self.control.epoch)
        return self.control.epoch
