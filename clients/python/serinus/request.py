"""One request being answered: measures its latency and emits its event at the end."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from serinus.emitter import Emitter


class Request:
    """Made by `Emitter.request`; used with ``with`` or ``async with``.

    Parameters
    ----------
    values: numbers to report, by metric; fill them in inside the block.
    labels: categories to report, by label.
    error: whether the request failed; set by any exception that leaves the block, which goes on to the caller.
    latency_ms: None: the time spent in the block; set it to report another one.

    Examples
    --------
    >>> from serinus import Emitter
    >>> emitter = Emitter(service="chat", brokers="127.0.0.1:1", start=False)
    >>> with emitter.request(version="v2", segment="eu") as request:
    ...     request.values["tokens_out"] = 41
    ...     request.labels["finish_reason"] = "stop"
    >>> emitter.stats().queued
    1
    >>> _ = emitter.close(timeout_s=0)
    """

    __slots__ = ("_context", "_emitter", "_started_s", "_version", "error", "labels", "latency_ms", "values")

    def __init__(
        self,
        emitter: Emitter,
        version: str,
        context: tuple[str, str | None, int | None, int | None, bool, bool],
    ) -> None:
        self._emitter = emitter
        self._version = version
        self._context = context
        self._started_s = 0.0
        self.values: dict[str, float] = {}
        self.labels: dict[str, str] = {}
        self.error = False
        self.latency_ms: float | None = None

    def __enter__(self) -> Self:
        self._started_s = self._emitter.monotonic_s()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            self.error = True
        latency_ms = self.latency_ms
        if latency_ms is None:
            latency_ms = (self._emitter.monotonic_s() - self._started_s) * 1000
        segment, unit, epoch, bucket, forced, shadow = self._context
        self._emitter.emit(
            version=self._version,
            latency_ms=latency_ms,
            error=self.error,
            values=self.values,
            labels=self.labels,
            segment=segment,
            unit=unit,
            epoch=epoch,
            bucket=bucket,
            forced=forced,
            shadow=shadow,
        )

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)
