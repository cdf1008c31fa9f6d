"""Windows that changed, told to whoever listens; nothing is computed when nobody does."""

from __future__ import annotations

import msgspec

from streams.worker.partition import Partition
from streams.worker.subscribers import Happening, Subscribers
from streams.worker.window_rows import rows_of

_encode = msgspec.json.Encoder().encode


def tell_windows(subscribers: Subscribers, partition: Partition) -> None:
    """Tell about each window that changed and is not stored yet; some are told more than once."""
    if not len(subscribers):
        return
    for service, span in sorted(partition.pending.windows):
        window = partition.windows[service].window(span)
        start_ms, end_ms = span.bounds
        rows = rows_of(window.cells, start_ms=start_ms, end_ms=end_ms)
        body = _encode({"type": "window", "service": service, "rows": rows})
        subscribers.tell(Happening("window", service, body))
