"""The bases of joint gates that are in force, read off ``canary.bases`` from its beginning, without a group."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec
import structlog
from confluent_kafka import Consumer, TopicPartition

from schemas.basis import Basis, decode_basis
from streams.ingest.settings import IngestSettings

BASES_MAX: Final = 256
"""Services with a basis; of more, those that were told last."""

_RECORDS: Final = 500

_log = structlog.get_logger("serinus.ingest")


class Bases:
    """The newest basis of each service. Records may come again and in any order of releases."""

    def __init__(self) -> None:
        self.by_service: Mapping[str, Basis] = MappingProxyType({})
        """Replaced, never changed: open slices hold on to the one that they were opened with."""

    def take(self, service: str, value: bytes | None) -> None:
        """One record: a basis, or, without a value, the end of the release that had one."""
        known = {name: basis for name, basis in self.by_service.items() if name != service}
        if value is not None:
            try:
                basis = decode_basis(value)
            except msgspec.DecodeError as error:
                _log.warning("not a basis; vectors are not counted", service=service, problem=str(error))
                return
            known[basis.service] = basis
        self.by_service = MappingProxyType(dict(list(known.items())[-BASES_MAX:]))


class BasesReader:
    """Follows the topic. Without it, or while it cannot be read, cells carry no vectors and all else is counted."""

    def __init__(self, settings: IngestSettings) -> None:
        self.bases = Bases()
        self._topic = settings.bases_topic
        self._consumer: Any = Consumer(
            {
                **settings.kafka,
                "group.id": f"{settings.group_id}-bases",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "queued.min.messages": _RECORDS,
            }
        )
        # From the beginning, each time: the topic is compacted, and holds one record for each release with such a gate.
        self._consumer.assign([TopicPartition(self._topic, number, 0) for number in range(settings.input_partitions)])
        self._complained = False

    def follow(self) -> Mapping[str, Basis]:
        """Take in what has come since the last call, without waiting for more; the bases in force."""
        for message in self._consumer.consume(_RECORDS, 0):
            if message.error() is not None:
                self._complain(message.error())
            elif message.key() is not None:
                self.bases.take(message.key().decode(errors="replace"), message.value())
        return self.bases.by_service

    def _complain(self, error: Any) -> None:
        if not self._complained:
            _log.warning("bases of joint gates are not read", topic=self._topic, problem=error.str())
            self._complained = True

    def close(self) -> None:
        """Give the connection back."""
        self._consumer.close()
