"""What ingest has to be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSettings:
    """Settings of one ingest process.

    Parameters
    ----------
    kafka : librdkafka properties for every client, ``bootstrap.servers`` and security among them.
    events_topic, dead_topic, inputs_topic, bases_topic : names, prefix included.
    group_id : consumer group; its members share the source partitions.
    input_partitions : partition count of ``canary.inputs``, as the broker's metadata says, and of ``canary.bases``.
    services : the only ones that are counted by their names; none for all that come. The same for every ingest.
    flush_ms : how often the open slices are reported.
    batch_size : records taken at once, at most.
    session_timeout_ms : silent for this long, and another process gets its partitions.
    http_host, http_port : where ``/metrics`` and ``/healthz`` are served; port None = nowhere.
    embedded : the broker is librdkafka's mock cluster, which knows neither LogAppendTime nor topic ids.
    """

    kafka: Mapping[str, str | int | float | bool]
    events_topic: str = "inference.events"
    dead_topic: str = "inference.events.dead"
    inputs_topic: str = "canary.inputs"
    bases_topic: str = "canary.bases"
    group_id: str = "serinus-ingest"
    input_partitions: int
    services: frozenset[str] = frozenset()
    flush_ms: int = 250
    batch_size: int = 10_000
    session_timeout_ms: int = 6_000
    http_host: str = "127.0.0.1"
    http_port: int | None = None
    embedded: bool = False

    def __post_init__(self) -> None:
        for name in ("input_partitions", "flush_ms", "batch_size", "session_timeout_ms"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"ingest: {name} must be at least 1, found {value}")
