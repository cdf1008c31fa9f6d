"""One partition of ``canary.inputs`` in memory: its services, their windows, and what is still to be stored."""

from __future__ import annotations

from collections.abc import Iterable, Set

import msgspec
import structlog

from schemas.inputs import Input as Record
from schemas.report import REPORT_VERSION, Report
from schemas.route import Route
from streams.service_partition import partition_of
from streams.worker.fold import Effect, active, fenced, fold, input_of, named_in, rebuild, start_service
from streams.worker.positions import Position
from streams.worker.restore import Restored
from streams.worker.service_windows import ServiceWindows, WindowKey
from streams.worker.state import Input, WindowAdded

SERVICES_MAX = 500
"""Services of one partition; what a producer invents beyond that is counted and not judged."""

_log = structlog.stdlib.get_logger("serinus.worker")


def unknown_report(found: int, offset: int) -> str:
    """Why a service is stopped by a report of another version."""
    return f"input {offset} is a report of format {found}; this version of Serinus reads format {REPORT_VERSION}"


class Pending(msgspec.Struct):
    """What the next checkpoint has to store."""

    services: set[str] = set()
    """Whose state changed in a way that should be stored soon: a release is under way, or something was published."""
    counted: set[str] = set()
    """Whose requests were counted, and nothing else; stored a little later."""
    touched: set[str] = set()
    """Whose state moved on with time only; stored every few seconds."""
    windows: set[WindowKey] = set()
    ended: dict[WindowKey, int] = {}
    """Of our own windows those that are too old or merged into wider ones, with the input at which that happened."""


class Partition:
    """One assigned partition. Everything in it is a fold of the partition's log.

    Parameters
    ----------
    number, partitions : which one of how many.
    writer : the writer's id in the table's keys, new at each assignment.
    restored : what recovery found.
    routed : per service ``(epoch, release id)`` of the newest route on the control topic.
    caught_up_at : end offset of the partition at take-over.
    """

    def __init__(
        self,
        number: int,
        *,
        partitions: int,
        writer: str,
        restored: Restored,
        routed: dict[str, tuple[int, str]],
        caught_up_at: int,
    ) -> None:
        self.number, self.partitions, self.writer = number, partitions, writer
        self.services = {name: s for name, s in restored.services.items() if name not in restored.stuck}
        # Nobody can query the windows of a service that is stuck.
        self.windows = {
            name: ServiceWindows(name, held) for name, held in restored.windows.items() if name not in restored.stuck
        }
        for name, service in self.services.items():
            # Windows that are too old may come back from another writer's keys.
            self.windows.setdefault(name, ServiceWindows(name)).age(service.stored.now_ms)
        self.stuck = dict(restored.stuck)
        self.position = Position(restored.read_from)
        self.pending = Pending()
        self.stored: set[str] = set(self.services)
        self.own_windows: set[WindowKey] = set()
        self.surplus_services = 0
        self.fenced = False
        self._routed, self._caught_up_at = routed, caught_up_at

    @property
    def caught_up(self) -> bool:
        """Whether everything that was in the log at take-over is folded."""
        return self.position.expected >= self._caught_up_at

    def apply(self, record: Record, *, offset: int, log_ms: int) -> list[tuple[str, Effect]]:
        """Fold one record into every service that it concerns.

        Returns
        -------
        What has to be published, with the service it is for. Windows are already merged here: in memory they are
        ahead of what is published, but a checkpoint is written only afterwards.
        """
        if isinstance(record, Report) and record.format != REPORT_VERSION:
            source = f"{record.topic_id}/{record.source}"
            known = {name for name, service in self.services.items() if source in service.stored.sources}
            self.stop(named_in(record).keys() | known, unknown_report(record.format, offset))
            return []
        effects: list[tuple[str, Effect]] = []
        named = named_in(record)
        for name in self._concerned(named.keys(), offset, log_ms):
            item = input_of(record, named, offset=offset, log_ms=log_ms, service=name)
            if item is not None:
                effects.extend((name, effect) for effect in self._fold(name, item, named=name in named))
        return effects

    def stop(self, names: Iterable[str], why: str) -> None:
        """Judge these services no more: what comes next of them would be guessed. Their leases run out."""
        for name in sorted(set(names) - self.stuck.keys()):
            mine = name in self.services or partition_of(name, self.partitions) == self.number
            if mine and len(self.stuck) < SERVICES_MAX:
                self.stuck[name] = why
                _log.critical("a service is no longer judged", service=name, reason=why)

    def fence(self) -> list[tuple[str, Effect]]:
        """Once, after catching up: no route below those that were already published (exactness rule 16).

        Returns
        -------
        What has to be published; nothing before that moment and after it.
        """
        if self.fenced or not self.caught_up:
            return []
        self.fenced = True
        effects: list[tuple[str, Effect]] = []
        for name in sorted(self.services.keys() & self._routed.keys() - self.stuck.keys()):
            epoch, release_id = self._routed[name]
            before = self.services[name]
            self.services[name], found = fenced(before, epoch=epoch, release_id=release_id)
            if self.services[name].stored.release != before.stored.release:
                self.pending.services.add(name)
            effects.extend((name, effect) for effect in found)
        return effects

    def outdated(self, route: Route) -> bool:
        """Whether a newer route than this one was already published by somebody else."""
        epoch, _ = self._routed.get(route.service, (-1, ""))
        return route.epoch < epoch

    def _concerned(self, names: Set[str], offset: int, log_ms: int) -> list[str]:
        for name in sorted(names - self.services.keys() - self.stuck.keys()):
            if partition_of(name, self.partitions) != self.number:
                continue
            # The first ones of the log are admitted, whenever it is read: a service that is restored from later in the
            # log is one of them itself.
            if len(self.services) >= SERVICES_MAX:
                self.surplus_services += 1
                continue
            self.services[name] = start_service(name, offset, log_ms)
            self.windows.setdefault(name, ServiceWindows(name))
        return [name for name in self.services if name not in self.stuck]

    def _fold(self, name: str, item: Input, *, named: bool) -> tuple[Effect, ...]:
        service, offset = self.services[name], item.offset
        try:
            if offset <= service.stored.applied:
                self.services[name] = rebuild(service, item)
                return ()
            after, effects = fold(service, item)
        except Exception as error:  # a defect of ours; it must not stop the other services
            self.stuck[name] = f"folding input {offset} failed: {type(error).__name__}: {error}"
            _log.critical("a service is no longer judged", service=name, offset=offset, exc_info=True)
            return ()
        self.services[name] = after
        added = [effect for effect in effects if isinstance(effect, WindowAdded)]
        if len(effects) > len(added) or (named and active(after.stored.release) is not None):
            self.pending.services.add(name)
        else:
            (self.pending.counted if named or added else self.pending.touched).add(name)
        self._window(name, after.stored.now_ms, added, offset)
        return effects

    def _window(self, name: str, now_ms: int, added: list[WindowAdded], offset: int) -> None:
        """Let the service's windows grow old with its time in the log, then add to them."""
        windows = self.windows[name]
        changed, gone = windows.age(now_ms)
        if added:
            changed |= windows.add(added, applied=offset)
        for key in ((name, span) for span in gone):
            self.pending.windows.discard(key)
            if key in self.own_windows:
                self.own_windows.discard(key)
                self.pending.ended[key] = offset
        if changed:
            self.pending.windows.update((name, span) for span in changed)
