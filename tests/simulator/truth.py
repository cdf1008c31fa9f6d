"""What was really written to the source topic, counted by hand: what every table must come to."""

from __future__ import annotations

import random
from collections import Counter

from schemas.event import OTHER, InferenceEvent, encode_event, faults
from schemas.report import PANE_MS
from streams.worker import tiers
from tests.simulator.broker import Broker

SERVICES = ("chat", "code", "search", "voice")
"""The first and the third live on partition 0 of the inputs, the others on partition 1."""

Key = tuple[str, str, str, int]
"""Service, version, segment, pane."""

Counts = Counter[Key]
"""Requests by key."""

Place = tuple[str, int, int]
"""Topic id, source partition, offset."""

_TS_OFFSETS_MS = (0, 0, 0, -40, -3_000, -11_000, -100_000, 299_000, 301_000, -86_390_000, -86_410_000)
_POISON = (b"", b"{", b"null", b'{"service":"chat"}', b"\xff\xfe", b'{"service":"chat","version":"v1","ts_ms":1e400}')


class Truth:
    """Everything that producers wrote and the broker acknowledged."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.places: dict[Place, Key] = {}
        self.counts: Counts = Counter()
        self.refused: set[Place] = set()
        self.may_be_lost: set[Place] = set()
        """Deleted before they were surely read, by an operator or by a retention that was said to be too fast."""

    def append(self, source: int, service: str, content: int, *, error_rate: float) -> None:
        """Some events of one service at one moment; ``content`` is the seed of what is in them."""
        draw = random.Random(content)
        for _ in range(draw.choice((1, 3, 20, 60))):
            version = draw.choice(("v1", "v2"))
            event = InferenceEvent(
                service=service,
                version=version,
                ts_ms=self._broker.clock_ms + draw.choice(_TS_OFFSETS_MS),
                error=draw.random() < (error_rate if version == "v2" else 0.02),
                latency_ms=round(draw.lognormvariate(4, 0.7), 2),
                segment=draw.choice(("", "eu")),
            )
            self._write(source, event)

    def poison(self, source: int, content: int) -> None:
        """A record that is no event."""
        record = self._broker.events[source].append(self._broker.clock_ms, None, _POISON[content % len(_POISON)])
        self.refused.add((self._broker.topic_id, source, record.offset))

    def create_time(self, source: int) -> None:
        """Somebody has set the topic to the producers' time, and a producer lives in the next century."""
        far_ms = self._broker.clock_ms + 3_000_000_000_000
        event = InferenceEvent(service="chat", version="v1", ts_ms=far_ms)
        log = self._broker.events[source]
        log.append(far_ms, None, encode_event(event), broker_time=False)

    def _write(self, source: int, event: InferenceEvent) -> None:
        log_ms = self._broker.clock_ms
        record = self._broker.events[source].append(log_ms, None, encode_event(event))
        place = (self._broker.topic_id, source, record.offset)
        if faults(event, log_ms):
            self.refused.add(place)
            return
        key = (event.service, event.version, event.segment, event.ts_ms // PANE_MS)
        self.places[place] = key
        self.counts[key] += 1

    def lose(self, topic_id: str, source: int, offsets: range) -> None:
        """These were deleted, and whoever had to say so has said it."""
        self.may_be_lost.update((topic_id, source, offset) for offset in offsets)

    def least(self) -> Counts:
        """What must be counted at the very least."""
        lost = Counter(self.places[place] for place in self.may_be_lost & self.places.keys())
        return self.counts - lost


def without_names(counts: Counts) -> Counter[int]:
    """By pane alone, for runs in which names go beyond a bound."""
    found: Counter[int] = Counter()
    for (*_, pane), n in counts.items():
        found[pane] += n
    return found


def by_widest(counts: Counts) -> Counts:
    """By the widest window that a pane may ever be in, whatever windows there are now."""
    found: Counts = Counter()
    for (*names, pane), n in counts.items():
        found[names[0], names[1], names[2], pane - pane % tiers.TIERS[-1].panes] += n
    return found


def bounded(counts: Counts) -> bool:
    """Whether a bound has folded names."""
    return any(key[0] == OTHER for key in counts)
