"""Every Prometheus metric of the worker, in one place."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from schemas.decision import Decision
from schemas.evidence import Verdict
from schemas.units import PPM
from streams.worker.broker_port import BrokerPort
from streams.worker.registry import Registry

_SECONDS = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)


class Recorder:
    """Counters that handlers bump. Gauges are read off the state at each scrape, so that nothing old lingers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.inputs = self._counter("serinus_worker_inputs", "Records of canary.inputs, by what they are", "kind")
        self.dead = self._counter(
            "serinus_worker_dead_letters", "Records refused, by topic and reason", "topic", "reason"
        )
        self.redelivered = self._counter("serinus_worker_redelivered", "Records of canary.inputs that came again")
        self.gaps = self._counter("serinus_worker_gaps", "Times that records of canary.inputs were missing")
        self.commands = self._counter("serinus_worker_commands", "Commands forwarded into canary.inputs")
        self.routes = self._counter("serinus_routes", "Routes published, renewals included")
        self.checkpoint_records = self._counter("serinus_worker_checkpoint_records", "Records written to the table")
        self.decisions = self._counter("serinus_decisions", "Decisions, by service and action", "service", "action")
        self.event_to_route_s = Histogram(
            "serinus_event_to_route_seconds",
            "From the append of the newest event that a decision saw to the acknowledged route",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.checkpoint_s = Histogram(
            "serinus_worker_checkpoint_seconds",
            "Time to write one checkpoint",
            buckets=_SECONDS,
            registry=self.registry,
        )

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(name, what, labels, registry=self.registry)

    def decision(self, decision: Decision) -> None:
        """Count one decision."""
        self.decisions.labels(decision.service, decision.action.value).inc()

    def watch(self, registry: Registry, port: BrokerPort) -> None:
        """Show the state of a worker at each scrape."""
        self.registry.register(StateCollector(registry, port))


class StateCollector(Collector):
    """Gauges of everything that the worker holds. Names are bounded: services, and the versions of their plans."""

    def __init__(self, registry: Registry, port: BrokerPort) -> None:
        self._registry, self._port = registry, port

    def collect(self) -> Iterator[Metric]:
        """All gauges, now."""
        yield _gauge("serinus_worker_ready", "1 when partitions are assigned and restored", float(self._registry.ready))
        yield _gauge(
            "serinus_worker_services_stuck", "Services that are not judged", float(len(self._registry.stuck()))
        )
        yield from self._partitions()
        yield from self._services()

    def _partitions(self) -> Iterator[Metric]:
        lag = GaugeMetricFamily(
            "serinus_worker_inputs_lag", "Records of canary.inputs to be read", labels=["partition"]
        )
        age = GaugeMetricFamily(
            "serinus_worker_checkpoint_age_seconds", "Since the last checkpoint", labels=["partition"]
        )
        moved = GaugeMetricFamily("serinus_worker_inputs_idle_seconds", "Since the last input", labels=["partition"])
        surplus = GaugeMetricFamily("serinus_worker_services_surplus", "Names beyond the bound", labels=["partition"])
        now_s = time.monotonic()
        for number, owned in self._registry.owned.items():
            end = self._port.end_offset(number)
            if end is not None:
                lag.add_metric([str(number)], max(0, end - owned.partition.position.expected))
            age.add_metric([str(number)], now_s - owned.checkpointer.stored_s)
            moved.add_metric([str(number)], now_s - owned.moved_s)
            surplus.add_metric([str(number)], owned.partition.surplus_services)
        return iter((lag, age, moved, surplus))

    def _services(self) -> Iterator[Metric]:
        weight = GaugeMetricFamily("serinus_weight_ratio", "Share in force", labels=["service", "version"])
        verdict = GaugeMetricFamily("serinus_verdict", "1 for the verdict in force", labels=["service", "verdict"])
        epoch = GaugeMetricFamily("serinus_epoch", "Of the last decision", labels=["service"])
        late = GaugeMetricFamily(
            "serinus_late_requests", "In the windows, too late for the evidence", labels=["service"]
        )
        open_slices = GaugeMetricFamily("serinus_open_slices", "Slices not yet in the windows", labels=["service"])
        for owned in self._registry.owned.values():
            for name, service in owned.partition.services.items():
                late.add_metric([name], service.stored.late)
                open_slices.add_metric([name], len(service.open))
                release = service.stored.release.release
                if release is None:
                    continue
                epoch.add_metric([name], release.epoch)
                for version, share_ppm in release.weights_ppm.items():
                    weight.add_metric([name, version], share_ppm / PPM)
                for value in Verdict:
                    verdict.add_metric([name, value.value], float(release.assessment.verdict is value))
        return iter((weight, verdict, epoch, late, open_slices))


def _gauge(name: str, what: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, what)
    family.add_metric([], value)
    return family
