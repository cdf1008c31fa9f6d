"""Effects become records: decisions and refusals on the audit, routes for the routers, bases for ingest."""

from __future__ import annotations

import asyncio
from typing import assert_never

import structlog

from releases.machine_io import Decide, Publish, Refuse
from schemas.basis import encode_basis
from schemas.decision import encode_record
from schemas.route import encode_route
from streams.logs import log_decision
from streams.settings import Settings
from streams.topics import BASES, CONTROL, DECISIONS
from streams.worker.broker_port import BrokerPort
from streams.worker.fold import Effect
from streams.worker.partition import Partition
from streams.worker.recorder import Recorder
from streams.worker.registry import Registry
from streams.worker.state import BasisLearned, WindowAdded
from streams.worker.subscribers import Happening

_log = structlog.stdlib.get_logger("serinus.decision")


class Publisher:
    """Publishes effects and waits until all of them are acknowledged (exactness rule 11)."""

    def __init__(self, settings: Settings, port: BrokerPort, registry: Registry, recorder: Recorder) -> None:
        self._port, self._registry, self._recorder = port, registry, recorder
        self._decisions, self._control = settings.topic(DECISIONS), settings.topic(CONTROL)
        self._bases = settings.topic(BASES)

    async def publish(self, partition: Partition, effects: list[tuple[str, Effect]]) -> None:
        """Send what effects ask for; raises :class:`streams.worker.broker_port.SendFailedError`."""
        sends = [
            self._port.send(topic, key=service.encode(), value=value)
            for service, effect in effects
            for topic, value in self._records(partition, effect)
        ]
        if not sends:
            return
        await asyncio.gather(*sends)
        for _, effect in effects:
            self._tell(effect)

    def _records(self, partition: Partition, effect: Effect) -> list[tuple[str, bytes | None]]:
        match effect:
            case WindowAdded():
                return []
            case BasisLearned(basis=basis):
                return [(self._bases, None if basis is None else encode_basis(basis))]
            case Decide(decision=decision):
                return [(self._decisions, encode_record(decision))]
            case Refuse(refusal=refusal):
                return [(self._decisions, encode_record(refusal))]
            case Publish(route=route):
                if partition.outdated(route):
                    _log.warning("an outdated route is not published", service=route.service, epoch=route.epoch)
                    return []
                return [(self._control, encode_route(route))]
            case _:
                assert_never(effect)

    def _tell(self, effect: Effect) -> None:
        match effect:
            case WindowAdded() | BasisLearned():
                pass
            case Publish():
                self._recorder.routes.inc()
            case Decide(decision=decision):
                if self._registry.history.add(decision):
                    log_decision(decision)
                    self._recorder.decision(decision)
                    self._registry.subscribers.tell(Happening("decision", decision.service, encode_record(decision)))
                self._registry.answers.tell(decision)
            case Refuse(refusal=refusal):
                if self._registry.history.add(refusal):
                    _log.warning(
                        refusal.reason, service=refusal.service, actor=refusal.actor, command_id=refusal.command_id
                    )
                    self._registry.subscribers.tell(Happening("refusal", refusal.service, encode_record(refusal)))
                self._registry.answers.tell(refusal)
            case _:
                assert_never(effect)
