"""The aggregation by quix-streams: arguments BROKERS TOPIC EVENTS FOLDER."""

from __future__ import annotations

import sys
import uuid
from datetime import timedelta
from typing import Any

from quixstreams import Application

from bench.peers.cells import add, empty
from bench.peers.meter import Meter
from bench.peers.shape import END, PANE_MS, PARTITIONS


def main() -> None:
    brokers, topic, events, folder = sys.argv[1:]
    meter = Meter(int(events))
    counts: dict[str, int] = {}
    ended: set[str] = set()
    app = Application(
        broker_address=brokers,
        consumer_group=f"peer-{uuid.uuid4()}",
        auto_offset_reset="earliest",
        state_dir=folder,
        loglevel="ERROR",
        # librdkafka's default stalls the fetcher of a slow reader for a second.
        consumer_extra_config={"fetch.queue.backoff.ms": 5},
    )
    source = app.topic(
        topic,
        key_deserializer="string",
        value_deserializer="json",
        timestamp_extractor=lambda event, headers, stamp_ms, stamp_type: event["ts_ms"],
    )

    def fold(cell: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
        meter.saw()
        return add(cell, event)

    def first(event: dict[str, Any]) -> dict[str, Any]:
        return fold(empty(), event)

    def keep(closed: dict[str, Any], key: str, *_: Any) -> None:
        counts[f"{key}|{closed['start'] // PANE_MS}"] = closed["value"]["n"]

    def stop(_: dict[str, Any], key: str, *__: Any) -> None:
        """Ends the run after the last event of each partition, which has closed all windows of its partition."""
        if key.startswith(END):
            ended.add(key)
            if len(ended) == PARTITIONS:
                app.stop()

    stream = app.dataframe(source)
    panes = stream.tumbling_window(timedelta(milliseconds=PANE_MS), grace_ms=timedelta(seconds=30))
    panes.reduce(reducer=fold, initializer=first).final(closing_strategy="partition").update(keep, metadata=True)
    stream.update(stop, metadata=True)
    app.run()
    print(meter.report(counts))


if __name__ == "__main__":
    main()
