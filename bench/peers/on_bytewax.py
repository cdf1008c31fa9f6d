"""The aggregation by bytewax, one worker: arguments BROKERS TOPIC EVENTS FOLDER."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.operators import windowing
from bytewax.run import cli_main
from bytewax.testing import TestingSink

from bench.peers.cells import add, empty, merge
from bench.peers.meter import Meter
from bench.peers.shape import PANE_MS

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def main() -> None:
    brokers, topic, events, _ = sys.argv[1:]
    meter = Meter(int(events))
    closed: list[tuple[str, tuple[int, dict[str, Any]]]] = []

    def decoded(message: KafkaSourceMessage) -> tuple[str, dict[str, Any]]:
        return message.key.decode(), orjson.loads(message.value)

    def fold(cell: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
        meter.saw()
        return add(cell, event)

    # librdkafka's default stalls the fetcher of a slow reader for a second.
    tuned = {"fetch.queue.backoff.ms": "5"}
    flow = Dataflow("peer")
    source = KafkaSource([brokers], [topic], tail=False, add_config=tuned, batch_size=10_000)
    keyed = op.map("decode", op.input("events", flow, source), decoded)
    clock = windowing.EventClock(
        ts_getter=lambda event: datetime.fromtimestamp(event["ts_ms"] / 1000, UTC),
        wait_for_system_duration=timedelta(seconds=30),
    )
    panes = windowing.TumblingWindower(length=timedelta(milliseconds=PANE_MS), align_to=EPOCH)
    # Sums do not care for the order, and without it nothing is queued and sorted.
    cells = windowing.fold_window("cells", keyed, clock, panes, empty, fold, merge, ordered=False)
    op.output("closed", cells.down, TestingSink(closed))
    cli_main(flow)
    print(meter.report({f"{key}|{pane}": cell["n"] for key, (pane, cell) in closed}))


if __name__ == "__main__":
    main()
