"""Where the time of a decision goes, from what stands on the topics: each stage ends with a record that Kafka dated."""

from __future__ import annotations

import msgspec

from schemas.decision import Action, Decision
from schemas.inputs import decode_input
from schemas.report import Report
from streams.kafka_reader import read_to_end
from streams.service_partition import partition_of
from streams.topics import DECISIONS, INPUTS
from tests.e2e.audit import append_times, decisions, routes, settings_of
from tests.e2e.pipeline import Pipeline

STAGES = {
    "report_ms": "append of the newest event of the evidence → append of the first report that has it",
    "beat_ms": "→ append of the input with which all partitions have passed the beat",
    "fold_ms": "→ append of the decision",
    "route_ms": "→ append of the route",
}


class Staged(msgspec.Struct, frozen=True):
    """One decision by evidence: how long each stage took, ms of the broker's clock."""

    action: str
    report_ms: int
    beat_ms: int
    fold_ms: int
    route_ms: int

    @property
    def whole_ms(self) -> int:
        """From the newest event to the route."""
        return self.report_ms + self.beat_ms + self.fold_ms + self.route_ms


class Topics:
    """What a run has left on the topics, read once."""

    def __init__(self, running: Pipeline) -> None:
        self._running = running
        self._appended_ms = append_times(running)
        settings = settings_of(running)
        self._reports: dict[int, list[tuple[int, Report]]] = {}
        for message in read_to_end(settings, running.topic(INPUTS), 60.0):
            record = decode_input(message.value() or b"")
            if isinstance(record, Report):
                self._reports.setdefault(message.partition() or 0, []).append((message.timestamp()[1], record))
        self._decided_ms = {
            message.value(): message.timestamp()[1] for message in read_to_end(settings, running.topic(DECISIONS))
        }

    def of(self, service: str) -> list[Staged]:
        """Its decisions by evidence, in order."""
        routed_ms = {one.route.epoch: one.at_ms for one in reversed(routes(self._running, service))}
        return [
            self._staged(decision, routed_ms[decision.epoch])
            for decision in decisions(self._running, service)
            if decision.action in {Action.ADVANCE, Action.ROLLBACK}
        ]

    def _staged(self, decision: Decision, routed_ms: int) -> Staged:
        source, offset = max(
            ((int(number), offset) for number, offset in decision.through.items()), key=self._appended_ms.__getitem__
        )
        newest_ms = self._appended_ms[source, offset]
        reports = self._reports[partition_of(decision.service, len(self._reports))]
        reported_ms = min(ms for ms, one in reports if one.source == source and one.through_offset >= offset)
        decided_ms = min(ms for raw, ms in self._decided_ms.items() if _is(raw, decision))
        # The state's time is the log time of the input that decided.
        return Staged(
            action=decision.action.value,
            report_ms=reported_ms - newest_ms,
            beat_ms=decision.at_ms - reported_ms,
            fold_ms=decided_ms - decision.at_ms,
            route_ms=routed_ms - decided_ms,
        )


def _is(raw: object, decision: Decision) -> bool:
    assert isinstance(raw, bytes)
    found = msgspec.json.decode(raw)
    return (found.get("release_id"), found.get("epoch")) == (decision.release_id, decision.epoch)
