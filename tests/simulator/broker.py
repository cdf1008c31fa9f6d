"""The modelled broker: logs, committed offsets, group ownership, and a clock that may jump."""

from __future__ import annotations

from dataclasses import dataclass, field

INPUT_PARTITIONS = 2
SOURCE_PARTITIONS = 2
START_MS = 1_763_632_800_000


@dataclass(frozen=True)
class Record:
    """One record of a log; ``broker_time`` is False where the producer's timestamp was kept."""

    offset: int
    log_ms: int
    key: bytes | None
    value: bytes | None
    broker_time: bool = True


class Log:
    """One partition: offsets without holes from ``first`` on."""

    def __init__(self) -> None:
        self.first = 0
        self._records: list[Record] = []

    @property
    def end(self) -> int:
        return self.first + len(self._records)

    def append(self, log_ms: int, key: bytes | None, value: bytes | None, *, broker_time: bool = True) -> Record:
        record = Record(self.end, log_ms, key, value, broker_time)
        self._records.append(record)
        return record

    def at(self, offset: int) -> Record | None:
        return self._records[offset - self.first] if self.first <= offset < self.end else None

    def all(self) -> list[Record]:
        return list(self._records)

    def delete_before(self, offset: int) -> None:
        """What retention does."""
        keep = min(max(offset, self.first), self.end)
        del self._records[: keep - self.first]
        self.first = keep


@dataclass
class Broker:
    """Everything that outlives the processes.

    Parameters
    ----------
    clock_ms : the broker's own clock, which log-append times come from; it may jump.
    elapsed_s : the time that has really passed; it only grows.
    owner_of_source, owner_of_inputs : what the groups' coordinators believe.
    """

    clock_ms: int = START_MS
    elapsed_s: float = 0.0
    newest_ms: int = START_MS
    """The latest that the broker's clock has ever said."""
    topic_id: str = "topic-1"
    events: list[Log] = field(default_factory=lambda: [Log() for _ in range(SOURCE_PARTITIONS)])
    inputs: list[Log] = field(default_factory=lambda: [Log() for _ in range(INPUT_PARTITIONS)])
    changelog: list[Log] = field(default_factory=lambda: [Log() for _ in range(INPUT_PARTITIONS)])
    commands: Log = field(default_factory=Log)
    decisions: Log = field(default_factory=Log)
    control: Log = field(default_factory=Log)
    dead: Log = field(default_factory=Log)
    bases: Log = field(default_factory=Log)
    source_commits: dict[int, tuple[int, str]] = field(default_factory=dict)
    """Offset and metadata, by source partition."""
    inputs_commits: dict[int, int] = field(default_factory=dict)
    commands_commit: int = 0
    owner_of_source: dict[int, int] = field(default_factory=dict)
    owner_of_inputs: dict[int, int] = field(default_factory=dict)

    def pass_ms(self, elapsed_ms: int, *, jump_ms: int = 0) -> None:
        """Time passes; with ``jump_ms`` somebody sets the broker's clock besides."""
        self.elapsed_s += elapsed_ms / 1000
        self.clock_ms += elapsed_ms + jump_ms
        self.newest_ms = max(self.newest_ms, self.clock_ms)

    def recreate_events(self) -> None:
        """Delete the source topic and create it again: another id, offsets from 0, and no committed offsets."""
        self.topic_id = f"topic-{int(self.topic_id.rpartition('-')[2]) + 1}"
        self.events = [Log() for _ in range(SOURCE_PARTITIONS)]
        self.source_commits.clear()

    def compact_control(self) -> None:
        """Keep the last record of each key."""
        last = {record.key: record for record in self.control.all()}
        kept = sorted(last.values(), key=lambda record: record.offset)
        self.control = _rewritten(kept, self.control)

    def compact_changelog(self, partition: int) -> None:
        """Keep the last record of each key; tombstones go with what they delete."""
        last = {record.key: record for record in self.changelog[partition].all()}
        kept = sorted((r for r in last.values() if r.value is not None), key=lambda record: record.offset)
        self.changelog[partition] = _rewritten(kept, self.changelog[partition])


def _rewritten(kept: list[Record], before: Log) -> Log:
    """Readers of a compacted topic look at keys and values and never at offsets."""
    log = Log()
    log.first = before.end - len(kept)
    for record in kept:
        log.append(record.log_ms, record.key, record.value)
    return log
