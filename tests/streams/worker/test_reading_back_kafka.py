"""Reading back to an input that Faust has not handed over, on a real Kafka, with many records on their way."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from streams.kafka import producer
from streams.settings import Settings
from streams.topics import INPUTS
from streams.worker.faust_app import Arrived, FaustWorker
from tests.conftest import free_port
from tests.e2e.pipeline import pipeline

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

RECORDS, TURNS_AT, BACK_TO = 5_000, 300, 100


def test_what_was_sought_arrives_however_much_was_on_its_way(
    kafka_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    """Records that were fetched before the seek go on arriving; the one that was missed comes all the same."""
    with pipeline(kafka_broker, topic_prefix, tmp_path) as running:
        settings = Settings(
            brokers=running.brokers, topic_prefix=running.prefix, http_port=free_port(), data_dir=str(tmp_path)
        )
        client = producer(settings, "test")
        for number in range(RECORDS):
            client.produce(settings.topic(INPUTS), b"%d" % number, partition=0)
        assert client.flush(20) == 0
        offsets = asyncio.run(_read(settings))
    turned = offsets.index(TURNS_AT)
    assert BACK_TO in offsets[turned:], f"after the seek came {offsets[turned : turned + 3]} and no {BACK_TO}"
    back = turned + offsets[turned:].index(BACK_TO)
    assert offsets[back:] == list(range(BACK_TO, RECORDS))


async def _read(settings: Settings) -> list[int]:
    """The offsets of partition 0 as they arrive, with one seek back on the way."""
    faust, offsets, done = FaustWorker(settings, partitions=4, web={}), list[int](), asyncio.Event()

    async def inputs(arrived: Arrived) -> None:
        if arrived.partition:
            return
        offsets.append(arrived.offset)
        if arrived.offset == TURNS_AT and offsets.count(TURNS_AT) == 1:
            await faust.seek(0, BACK_TO)
        if arrived.offset == RECORDS - 1 and BACK_TO in offsets[offsets.index(TURNS_AT) :]:
            done.set()

    async def nothing(*_: Any) -> None:
        pass

    faust.on_records(inputs=inputs, commands=nothing)
    faust.on_assignment(revoked=lambda: None, recovered=nothing, positions=lambda: dict.fromkeys(range(4), 0))
    await faust.app.start()
    try:
        async with asyncio.timeout(60):
            await done.wait()
    except TimeoutError:
        pass
    finally:
        await faust.app.stop()
    return offsets
