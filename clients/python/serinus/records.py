"""From events to records of `inference.events`, packed or one by one in JSON. Runs in the background thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from serinus.event import Arguments, Emitted, EventEncoder, InvalidEventError
from serinus.packer import NotPackableError, Packer

_FAR_MS = 60_000
"""The pipeline refuses a time far from its own, and a pack with it: an event so far from now goes alone."""

Dropped = Callable[[str, str], None]
"""Called with the reason and a text for each event that will never arrive."""


class Record(NamedTuple):
    """One record for Kafka, and how many events it holds."""

    key: str | None
    value: bytes
    events: int


class Writer(Protocol):
    """Makes records of events.

    Parameters
    ----------
    chunk: events to give it at a time, at most: so long, some hundred microseconds, a request may have to wait for the
        interpreter lock.
    linger_s: how long events may wait for others.
    """

    chunk: int
    linger_s: float

    def write(self, events: Sequence[Arguments]) -> Iterator[Record]:
        """Yield records; an event that is in none of them was dropped and counted."""


class JsonWriter:
    """One event a record."""

    chunk = 100
    linger_s = 0.0

    def __init__(self, encoder: EventEncoder, dropped: Dropped) -> None:
        self._encoder = encoder
        self._dropped = dropped

    def write(self, events: Sequence[Arguments]) -> Iterator[Record]:
        """Yield a record for each event."""
        for arguments in events:
            try:
                yield Record(*self._encoder.encode(Emitted(*arguments)), 1)
            except InvalidEventError as error:
                self._dropped(error.reason, str(error))
            except Exception as error:
                self._dropped("invalid_arguments", repr(error))


class PackWriter:
    """Many events a record; those that no pack takes go by themselves.

    Parameters
    ----------
    service: name of the service.
    now_ms: wall clock, Unix ms.
    """

    chunk = 200
    linger_s = 0.08

    def __init__(self, service: str, encoder: EventEncoder, dropped: Dropped, now_ms: Callable[[], int]) -> None:
        self._packer = Packer(service, encoder.hash_unit)
        self._encoder = encoder
        self._alone = JsonWriter(encoder, dropped)
        self._dropped = dropped
        self._now_ms = now_ms

    def write(self, events: Sequence[Arguments]) -> Iterator[Record]:
        """Yield one record for all events, or as many as they need."""
        now_ms = self._now_ms()
        try:
            times = [arguments[1] for arguments in events]
            if now_ms - _FAR_MS <= min(times) and max(times) <= now_ms + _FAR_MS:
                yield Record(None, self._packer.pack(events), len(events))
                return
        except (NotPackableError, TypeError, ValueError):
            pass
        near: list[Arguments] = []
        for arguments in events:
            checked = self._checked(arguments)
            if checked is None:
                continue
            if abs(checked.ts_ms - now_ms) <= _FAR_MS:
                near.append(checked)
            else:
                yield from self._alone.write([checked])
        yield from self._halved(near)

    def _checked(self, arguments: Arguments) -> Emitted | None:
        try:
            return self._encoder.check(Emitted(*arguments))
        except InvalidEventError as error:
            self._dropped(error.reason, str(error))
        except Exception as error:
            self._dropped("invalid_arguments", repr(error))
        return None

    def _halved(self, events: Sequence[Arguments]) -> Iterator[Record]:
        """Packs of good events, cut until each fits; what fits none is written alone."""
        if not events:
            return
        try:
            yield Record(None, self._packer.pack(events), len(events))
        except NotPackableError:
            if len(events) == 1:
                yield from self._alone.write(events)
                return
            yield from self._halved(events[: len(events) // 2])
            yield from self._halved(events[len(events) // 2 :])
