"""Where the time of a decision goes, from what stands on the topics: each stage ends with a record that Kafka dated."""

from __future__ import annotations

import msgspec

from schemas.decision import Action, Decision, decode_record
from schemas.inputs import decode_input
from schemas.report import Report
from schemas.route import decode_route
from streams.kafka_reader import read_to_end
from streams.service_partition import partition_of
from streams.topics import CONTROL, DECISIONS, INPUTS
from tests.e2e.audit import append_times, settings_of
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
        self._appended_ms = append_times(running)
        settings = settings_of(running)
        self._reports: dict[int, list[tuple[int, Report]]] = {}
        for message in read_to_end(settings, running.topic(INPUTS), 60.0):
            record = decode_input(message.value() or b"")
            if isinstance(record, Report):
                self._reports.setdefault(message.partition() or 0, []).append((message.timestamp()[1], record))
        self._decided_ms: dict[tuple[str, int], int] = {}
        self._decisions: list[Decision] = []
        for message in read_to_end(settings, running.topic(DECISIONS)):
            said = decode_record(message.value() or b"")
            # The same one published again counts once.
            if isinstance(said, Decision) and (said.release_id, said.epoch) not in self._decided_ms:
                self._decided_ms[said.release_id, said.epoch] = message.timestamp()[1]
                self._decisions.append(said)
        self._routed_ms: dict[tuple[str, int], int] = {}
        for message in read_to_end(settings, running.topic(CONTROL)):
            route = decode_route(message.value() or b"")
            self._routed_ms.setdefault((route.service, route.epoch), message.timestamp()[1])

    def staged(self) -> list[Staged]:
        """All decisions by evidence."""
        return [self._staged(one) for one in self._decisions if one.action in {Action.ADVANCE, Action.ROLLBACK}]

    def _staged(self, decision: Decision) -> Staged:
        source, offset = max(
            ((int(number), offset) for number, offset in decision.through.items()), key=self._appended_ms.__getitem__
        )
        newest_ms = self._appended_ms[source, offset]
        reports = self._reports[partition_of(decision.service, len(self._reports))]
        reported_ms = min(ms for ms, one in reports if one.source == source and one.through_offset >= offset)
        decided_ms = self._decided_ms[decision.release_id, decision.epoch]
        routed_ms = self._routed_ms[decision.service, decision.epoch]
        # The state's time is the log time of the input that decided.
        return Staged(
            action=decision.action.value,
            report_ms=reported_ms - newest_ms,
            beat_ms=decision.at_ms - reported_ms,
            fold_ms=decided_ms - decision.at_ms,
            route_ms=routed_ms - decided_ms,
        )
