"""The recorder that owns every metric name of ingest."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from streams.ingest.dead_letters import REASONS


class IngestMetrics:
    """What ingest counts, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._events = Counter("serinus_events_total", "Events counted into slices", registry=self.registry)
        self._dead = Counter(
            "serinus_dead_letters_total", "Records refused, by reason", ["reason"], registry=self.registry
        )
        self._folded = Counter(
            "serinus_folded_total",
            "Names that a cardinality bound turned into `other`, counted by closed slice",
            registry=self.registry,
        )
        self._reports = Counter("serinus_reports_total", "Reports sent", registry=self.registry)
        self._lag = Gauge(
            "serinus_ingest_lag_records",
            "Records of a source partition not yet read",
            ["partition"],
            registry=self.registry,
        )
        self._delay = Gauge(
            "serinus_slice_delay_seconds",
            "Age of the newest record in the reports just sent, of the source partition that is furthest behind",
            registry=self.registry,
        )
        self._gap = Counter(
            "serinus_retention_gap_records_total",
            "Offsets that the broker deleted before they were read",
            registry=self.registry,
        )
        self._delivery_errors = Counter(
            "serinus_ingest_delivery_errors_total",
            "Sends that the broker refused for good",
            registry=self.registry,
        )
        for reason in REASONS:
            self._dead.labels(reason)

    def took(self, events: int) -> None:
        self._events.inc(events)

    def refused(self, reason: str) -> None:
        self._dead.labels(reason).inc()

    def folded(self, names: int) -> None:
        self._folded.inc(names)

    def reported(self, reports: int) -> None:
        self._reports.inc(reports)

    def lag(self, partition: int, records: int) -> None:
        self._lag.labels(str(partition)).set(records)

    def disowned(self, partition: int) -> None:
        """A lag that nobody updates any more would look like a stuck partition."""
        if (str(partition),) in self._lag._metrics:
            self._lag.remove(str(partition))

    def slice_delay(self, seconds: float) -> None:
        self._delay.set(seconds)

    def gap(self, records: int) -> None:
        self._gap.inc(records)

    def delivery_failed(self) -> None:
        self._delivery_errors.inc()
