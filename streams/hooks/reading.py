"""What a record of the decisions asks to be told: deliveries, and a word about each hook that leads to none."""

from __future__ import annotations

import time
from collections import OrderedDict

import msgspec
import structlog

from schemas.decision import Decision, decode_record, hash_of
from schemas.hook import HOOKS_MAX, Hook
from streams.hooks.delivery import Delivery, body_of, key_of
from streams.hooks.lanes import Outcome
from streams.hooks.metrics import HookMetrics
from streams.hooks.targets import Refused, target_of
from streams.settings import Settings
from streams.topics import EVENTS

REMEMBERED_MAX = 10_000
"""A worker that crashed publishes its last decisions again, the same to the byte: those of so many back are known."""

_log = structlog.stdlib.get_logger("serinus.hooks")


class Reading:
    """Turns records into deliveries."""

    def __init__(self, settings: Settings, metrics: HookMetrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._events = settings.topic(EVENTS)
        self._seen: OrderedDict[str, None] = OrderedDict()

    def deliveries(self, raw: bytes, place: tuple[int, int]) -> list[Delivery]:
        """What a record asks for: nothing when it is no decision, an old one, or one that was seen before.

        Parameters
        ----------
        raw : the record; anybody may have written it.
        place : its partition and offset.
        """
        try:
            decision = decode_record(raw)
        except msgspec.DecodeError:
            return []
        if not isinstance(decision, Decision) or not decision.hooks or self._known(raw):
            return []
        about = f"the {decision.action.value} of {decision.release_id} with epoch {decision.epoch}"
        until_s = time.monotonic() + int(self._settings.hooks_give_up_after) / 1000
        old = time.time_ns() // 1_000_000 - decision.at_ms > self._settings.hooks_age_max
        found = []
        for index, hook in enumerate(decision.hooks[:HOOKS_MAX]):
            key, target = key_of(decision, index), target_of(hook, self._settings)
            if old:
                _log.warning(f"not told, because it is old: {about}", key=key)
                self._metrics.ended(hook.format, Outcome.TOO_OLD)
                continue
            if isinstance(target, Refused):
                self._refuse(hook, f"not told, because this machine does not allow it: {about}: {target.why}", key)
                continue
            try:
                body = body_of(hook, decision, raw, key=key, topic=self._events)
            except (ArithmeticError, ValueError) as error:
                # Numbers that the worker never writes, such as a time after the year 9999.
                self._refuse(hook, f"not told, because it cannot be said as {hook.format}: {about}: {error}", key)
                continue
            found.append(Delivery(key, target, hook.format, decision.action.value, body, about, place, until_s))
        return found

    def forget(self) -> None:
        """Records come again, and are to be told again."""
        self._seen.clear()

    def _refuse(self, hook: Hook, why: str, key: str) -> None:
        _log.error(why, key=key)
        self._metrics.ended(hook.format, Outcome.REFUSED)

    def _known(self, raw: bytes) -> bool:
        name = hash_of(raw)
        if name in self._seen:
            return True
        self._seen[name] = None
        if len(self._seen) > REMEMBERED_MAX:
            self._seen.popitem(last=False)
        return False
