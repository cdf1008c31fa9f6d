"""What the worker needs from Kafka, so that everything but one file can be tested, and read, without Faust."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class SendFailedError(Exception):
    """The broker did not acknowledge a record."""


class BrokerPort(Protocol):
    """Sending, storing and finding one's place."""

    async def send(self, topic: str, *, key: bytes | None, value: bytes | None, partition: int | None = None) -> None:
        """Send one record and wait until it is acknowledged.

        Parameters
        ----------
        topic : its name on the broker.
        partition : None for murmur2 of the key.

        Raises
        ------
        SendFailedError : it was not acknowledged.
        """

    async def store(self, partition: int, key: bytes, value: bytes | None) -> None:
        """Write one record of the worker's table and wait until it is acknowledged; raises SendFailedError."""

    def stored(self) -> Iterable[tuple[bytes, bytes]]:
        """Every record of the worker's table that recovery has read."""

    async def seek(self, partition: int, offset: int) -> None:
        """Read a partition of ``canary.inputs`` from an offset on."""

    async def bounds(self) -> dict[int, tuple[int, int]]:
        """First offset and end offset of each partition of ``canary.inputs``."""

    def assigned(self) -> frozenset[int]:
        """The partitions of ``canary.inputs`` that belong to this worker now."""

    def owners(self) -> dict[int, str]:
        """Which worker, by its URL, has which partition of ``canary.inputs``; empty while nobody knows."""

    def end_offset(self, partition: int) -> int | None:
        """The end offset of a partition of ``canary.inputs`` that the last fetch reported."""

    def rebalancing(self) -> bool:
        """Whether partitions are being distributed anew."""
