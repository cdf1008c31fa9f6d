"""The Faust app, and the only file that touches its inner parts.

What Faust is asked to do: consumer group, partition assignment, reading, table recovery, the web server. What it is
not asked to do, and why, stands at each place below.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import faust
import msgspec
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, ensure_aiokafka_TP
from faust.types import TP

from streams.kafka import RECORD_BYTES_MAX, RateLimit
from streams.kafka_reader import bounds
from streams.settings import Settings
from streams.settings_faust import faust_credentials
from streams.topics import COMMANDS, INPUTS
from streams.worker.broker_port import SendFailedError

TABLE = "state"
_BATCH_BYTES_MAX: Final = 512 * 1024
"""Of a partition one batch at a time is under way: with 16 KiB, the default, a checkpoint waited for several."""
_HEARTBEATS_PER_SESSION = 12
"""The answer to a heartbeat is how a survivor learns that partitions are free: with three it learned up to 2 s late."""


class Arrived(msgspec.Struct, frozen=True):
    """One record as Faust hands it over. ``log_ms`` is Unix ms, the broker's time on a topic with LogAppendTime."""

    partition: int
    offset: int
    log_ms: int
    key: bytes | None
    value: bytes | None


FETCH_WAIT_MS = 100
"""Faust lets the broker hold a fetch for 1.5 s, and whatever else is asked on that connection waits behind it: offsets
in recovery, and the first fetch after a seek. That was 3 s of every take-over."""

_CHATTY = (
    "aiokafka",
    "aiokafka.conn",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.producer.sender",
)
"""Loggers that wrote a hundred lines a second while a broker was away."""

Handler = Callable[[Arrived], Awaitable[None]]
Signal = Callable[[], Awaitable[None]]


def changelog_topic(settings: Settings) -> str:
    """The topic behind the worker's table. Its name is Faust's choice."""
    return f"{settings.group('worker')}-{TABLE}-changelog"


class _ReadOffsets(defaultdict[Any, int | None]):
    """What Faust has read last of each partition, below which it drops records; of our topics it is to drop none.

    After a seek back, records that were fetched before go on arriving and raise Faust's mark above the place that was
    sought, so that what was missing came and was dropped, or counted as a gap and committed. Of the inputs a worker
    knows by itself what it has had; a command that comes twice is known by its id.
    """

    def __init__(self, *topics: str) -> None:
        super().__init__(lambda: None)
        self._topics = frozenset(topics)

    def __getitem__(self, tp: Any) -> int | None:
        return None if tp.topic in self._topics else super().__getitem__(tp)


class FaustWorker:
    """A Faust app with two agents and one table, behind :class:`streams.worker.broker_port.BrokerPort`.

    Parameters
    ----------
    settings : brokers, names, HTTP address.
    partitions : of ``canary.inputs``, and therefore of the table.
    web : options of Faust's aiohttp application.
    """

    def __init__(self, settings: Settings, *, partitions: int, web: dict[str, Any]) -> None:
        for name in _CHATTY:
            logging.getLogger(name).addFilter(RateLimit())
        self._settings = settings
        self._inputs = settings.topic(INPUTS)
        self._commands = settings.topic(COMMANDS)
        self._changelog = changelog_topic(settings)
        self.app = _app(settings, partitions, web)
        self._table = self.app.Table(TABLE, key_type=bytes, value_type=bytes, partitions=partitions)
        self._positions: Callable[[], dict[int, int]] = dict
        self.app.transport.Consumer = self._seeking_consumer()

    def _seeking_consumer(self) -> type[Any]:
        """Faust seeks to the group's commit after every recovery; for the inputs only the state knows the place."""
        inputs, commands, worker = self._inputs, self._commands, self

        class PromptThread(AIOKafkaConsumerThread):
            logger = logging.getLogger("faust.consumer")

            def _create_worker_consumer(self, transport: Any) -> Any:
                consumer: Any = super()._create_worker_consumer(transport)
                consumer._fetch_max_wait_ms = FETCH_WAIT_MS
                return consumer

        class SeekingConsumer(Consumer):
            logger = logging.getLogger("faust.consumer")

            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                self._read_offset = _ReadOffsets(inputs, commands)

            def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
                return PromptThread(self, loop=self.loop, beacon=self.beacon)

            async def seek_to_committed(self) -> Any:
                places = {TP(inputs, number): offset for number, offset in worker._positions().items()}
                assigned = self.assignment()
                places = {tp: offset for tp, offset in places.items() if tp in assigned}
                others = [ensure_aiokafka_TP(tp) for tp in assigned if tp not in places]
                committed: dict[Any, Any] = {}
                if others:
                    thread: Any = self._thread
                    committed = await thread.call_thread(thread._ensure_consumer().seek_to_committed, *others)
                # Without a commit Faust would leave a place where it is: behind the commands that were fetched, and
                # thrown away, before the recovery was over.
                unread = [tp for tp in others if tp.topic == commands and not committed.get(tp)]
                places |= {TP(tp.topic, tp.partition): 0 for tp in unread}
                # The inputs are never sought to the commit, not even on the way to their place: between two seeks
                # Faust would hand over what lies above the commit, which comes too early.
                await worker._seek_all(places)
                return committed | places

        return SeekingConsumer

    def on_records(self, *, inputs: Handler, commands: Handler) -> None:
        """Attach the two agents. The handlers must not raise: Faust would skip the record and commit past it."""
        self._agent(self._inputs, inputs)
        self._agent(self._commands, commands)

    def _agent(self, name: str, handler: Handler) -> None:
        async def read(stream: Any) -> None:
            async for event in stream.events():
                message = event.message
                log_ms = round((message.timestamp or 0.0) * 1000)
                await handler(Arrived(message.partition, message.offset, log_ms, message.key, message.value))

        topic = self.app.topic(
            name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", allow_empty=True
        )
        self.app.agent(topic, name=name, concurrency=1)(read)

    def on_assignment(
        self, *, revoked: Callable[[], None], recovered: Signal, positions: Callable[[], dict[int, int]]
    ) -> None:
        """Attach what happens when partitions go, and when the table is restored and reading is about to begin.

        Parameters
        ----------
        positions : the next offset to read of each partition of ``canary.inputs`` in hand.
        """
        self._positions = positions

        async def on_revoked(_app: Any, revoked_partitions: Any, **_: Any) -> None:
            revoked()

        async def on_recovered(_app: Any, **_: Any) -> None:
            await recovered()

        # A signal keeps weak references to its receivers.
        self._receivers = (on_revoked, on_recovered)
        self.app.on_partitions_revoked.connect(on_revoked)
        self.app.on_rebalance_complete.connect(on_recovered)

    async def send(self, topic: str, *, key: bytes | None, value: bytes | None, partition: int | None = None) -> None:
        """Send one record and wait for its acknowledgement."""
        try:
            await self.app.producer.send_and_wait(topic, key, value, partition, None, None)
        except Exception as error:  # aiokafka and Faust raise many kinds, and all mean the same here
            raise SendFailedError(f"{topic}: {type(error).__name__}: {error}") from error

    async def store(self, partition: int, key: bytes, value: bytes | None) -> None:
        """Write to the table's changelog.

        Not by ``table[key] = value``: Faust does not wait for that write, and a rejected one is only a warning. What
        is written is read back at the next recovery, from the changelog, like everybody else's records.
        """
        await self.send(self._changelog, key=key, value=value, partition=partition)

    def stored(self) -> Iterable[tuple[bytes, bytes]]:
        """What recovery has read. Records of partitions that went elsewhere may still be among them."""
        return [(key, value) for key, value in self._table.data.items() if value is not None]

    async def seek(self, partition: int, offset: int) -> None:
        """Read a partition of ``canary.inputs`` from an offset on."""
        await self._seek_all({TP(self._inputs, partition): offset})

    async def _seek_all(self, places: dict[Any, int]) -> None:
        consumer = self.app.consumer
        if not places:
            return
        await consumer.seek_wait(places)
        for tp, offset in places.items():
            # Faust never commits what is far above this.
            consumer._committed_offset[tp] = offset if offset > 0 else None

    async def bounds(self) -> dict[int, tuple[int, int]]:
        """First offset and end offset of each partition of ``canary.inputs``.

        Not asked through Faust's consumer: there each question waits behind a fetch that the broker holds for 1.5 s,
        and a take-over of four partitions took 12 s.
        """
        return await asyncio.to_thread(bounds, self._settings, self._inputs)

    def end_offset(self, partition: int) -> int | None:
        """The end offset that the last fetch reported."""
        highwater = self.app.consumer.highwater(TP(self._inputs, partition))
        return None if highwater is None else int(highwater)

    def assigned(self) -> frozenset[int]:
        """Partitions of ``canary.inputs`` in hand. ``table.keys()`` would also list what other workers own."""
        return frozenset(tp.partition for tp in self.app.consumer.assignment() if tp.topic == self._inputs)

    def owners(self) -> dict[int, str]:
        """Which worker's URL has which partition, as the last assignment said."""
        hosts = self.app.router.external_topics_metadata()
        return {int(number): str(url) for url, topics in hosts.items() for number in topics.get(self._inputs, ())}

    def rebalancing(self) -> bool:
        """Whether partitions are being distributed anew."""
        return bool(self.app.rebalancing)

    async def ended(self) -> BaseException | None:
        """Wait until the app stops by itself; returns why, where it says."""
        await self.app.wait_until_stopped()
        reason = self.app.crash_reason
        return reason if isinstance(reason, BaseException) else None

    def add_routes(self, routes: Iterable[Any]) -> None:
        """Serve routes with Faust's aiohttp server; before it starts."""
        self.app.web.web_app.add_routes(routes)


def _app(settings: Settings, partitions: int, web: dict[str, Any]) -> Any:
    """Untyped on purpose: Faust's annotations describe less than what is used here."""
    return faust.App(settings.group("worker"), **_options(settings, partitions, web))


def _options(settings: Settings, partitions: int, web: dict[str, Any]) -> dict[str, Any]:
    session_s = int(settings.session_timeout) / 1000
    return {
        "broker": ";".join(f"aiokafka://{broker}" for broker in settings.brokers.split(",")),
        "broker_credentials": faust_credentials(settings),
        "broker_session_timeout": session_s,
        "broker_heartbeat_interval": session_s / _HEARTBEATS_PER_SESSION,
        "processing_guarantee": "at_least_once",
        "table_standby_replicas": 0,
        "topic_partitions": partitions,
        # The changelog is created by us, with a configuration that Faust cannot express; on the embedded broker
        # nothing can be created at all.
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "producer_acks": -1,
        "producer_max_request_size": RECORD_BYTES_MAX,
        "producer_max_batch_size": _BATCH_BYTES_MAX,
        "consumer_auto_offset_reset": "earliest",
        "stream_wait_empty": True,
        "autodiscover": False,
        "origin": None,
        "store": "memory://",
        "datadir": settings.data_dir,
        "web_enabled": True,
        "web_host": settings.http_host,
        "web_bind": settings.http_host,
        "web_port": settings.http_port,
        "canonical_url": settings.advertised_url,
        "web_application_options": web,
        "web_stats_enabled": False,
        "web_graph_enabled": False,
        "web_router_enabled": False,
        "web_tables_enabled": False,
        "web_metrics_enabled": False,
        "worker_redirect_stdouts": False,
    }
