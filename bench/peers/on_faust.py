"""The aggregation by a plain Faust agent with a table: arguments BROKERS TOPIC EVENTS FOLDER."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from typing import Any

import faust
import uvloop

from bench.peers.cells import add, empty
from bench.peers.meter import Meter
from bench.peers.shape import PANE_MS, PARTITIONS


def main() -> None:
    brokers, topic, events, folder = sys.argv[1:]
    meter = Meter(int(events))
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # 15 to 20 % more events
    app: Any = faust.App(
        f"peer-{uuid.uuid4()}",
        broker=f"kafka://{brokers}",
        consumer_auto_offset_reset="earliest",
        datadir=folder,
        store="memory://",
        table_standby_replicas=0,
        topic_partitions=PARTITIONS,
        value_serializer="json",
        web_enabled=False,
        worker_redirect_stdouts=False,
    )
    cells = app.Table("cells", partitions=PARTITIONS)

    async def count(stream: Any) -> None:
        async for key, event in stream.items():
            # The pane is part of the key: Faust's own windows keep an entry for each write until they expire.
            name = f"{key.decode()}|{event['ts_ms'] // PANE_MS}"
            cells[name] = add(cells.get(name) or empty(), event)
            if meter.saw():
                print(meter.report({name: cell["n"] for name, cell in cells.items()}), flush=True)
                os._exit(0)  # an orderly end of the worker takes seconds and says nothing more

    app.agent(app.topic(topic, key_type=bytes, key_serializer="raw"))(count)
    faust.Worker(app, loglevel="ERROR", console_port=0).execute_from_commandline()


if __name__ == "__main__":
    main()
