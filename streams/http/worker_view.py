"""What the HTTP interface sees of a worker."""

from __future__ import annotations

import aiohttp

from streams.http.problem import unsettled
from streams.settings import Settings
from streams.worker.broker_port import BrokerPort
from streams.worker.partition import Partition
from streams.worker.recorder import Recorder
from streams.worker.registry import Registry

_FORWARD_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=2.0, sock_connect=2.0, sock_read=30.0)


class WorkerView:
    """A worker's registry, its way to Kafka, and its way to the other workers.

    Parameters
    ----------
    settings : names of topics, and this worker's URL.
    registry : what it holds.
    port : Kafka.
    recorder : its metrics.
    """

    def __init__(self, settings: Settings, registry: Registry, port: BrokerPort, recorder: Recorder) -> None:
        self.settings, self.registry, self.port, self.recorder = settings, registry, port, recorder
        self._session: aiohttp.ClientSession | None = None

    @property
    def settled(self) -> bool:
        """Whether partitions are assigned and restored."""
        return self.registry.ready and not self.registry.closing and not self.port.rebalancing()

    def holder(self, service: str) -> Partition | None:
        """The partition of a service if it is here; raises a 503 problem while nobody can know."""
        if not self.settled:
            raise unsettled("partitions are being distributed or restored; ask again in a moment")
        partition = self.registry.holder(service)
        if partition is not None and not partition.caught_up:
            # Until then the tables are empty or old, and an empty table is an answer that somebody would believe.
            raise unsettled("what was there at take-over is still being read; ask again in a moment")
        return partition

    @property
    def caught_up(self) -> bool:
        """Whether all that was there when this worker took its partitions over has been read."""
        return self.settled and all(owned.partition.caught_up for owned in self.registry.owned.values())

    def owner_url(self, service: str) -> str | None:
        """The URL of the worker that looks after a service; None when nobody is known, or it is this one."""
        url = self.port.owners().get(self.registry.partition_of(service))
        return None if url is None or url.rstrip("/") == self.settings.advertised_url.rstrip("/") else url

    def other_urls(self) -> list[str]:
        """The URLs of all other workers that have partitions."""
        own = self.settings.advertised_url.rstrip("/")
        return sorted({url for url in self.port.owners().values() if url.rstrip("/") != own})

    def session(self) -> aiohttp.ClientSession:
        """The client for other workers, one for all requests."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_FORWARD_TIMEOUT)
        return self._session

    async def close(self) -> None:
        """Close what was opened."""
        if self._session is not None:
            await self._session.close()
            self._session = None
