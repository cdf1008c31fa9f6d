"""Records that the worker could not use go to the dead-letter topic, whole up to a bound, with the reason."""

from __future__ import annotations

import base64

import structlog

from schemas.dead_letter import DeadLetter, encode_dead_letter
from streams.settings import Settings
from streams.topics import EVENTS_DEAD
from streams.worker.broker_port import BrokerPort
from streams.worker.faust_app import Arrived
from streams.worker.recorder import Recorder

RAW_BYTES_MAX = 512 * 1024

KEY_BYTES_MAX = 64 * 1024
"""A longer key is left out: inputs may be ten times as large as a dead letter, and the letter has to fit its topic."""

_log = structlog.stdlib.get_logger("serinus.worker")


class DeadLetters:
    """Sends, counts and logs refused records."""

    def __init__(self, settings: Settings, port: BrokerPort, recorder: Recorder) -> None:
        self._topic, self._port, self._recorder = settings.topic(EVENTS_DEAD), port, recorder

    async def refuse(self, arrived: Arrived, *, topic: str, reason: str, detail: str, path: str = "$") -> None:
        """Keep one refused record.

        Parameters
        ----------
        topic : where it was found.
        reason : from a small fixed set.
        detail : what exactly was found, for people.
        path : JSON path of the fault.

        Raises
        ------
        streams.worker.broker_port.SendFailedError : the dead letter was not acknowledged.
        """
        raw = arrived.value or b""
        letter = DeadLetter(
            reason=reason,
            path=path,
            topic=topic,
            partition=arrived.partition,
            offset=arrived.offset,
            raw_base64=base64.b64encode(raw[:RAW_BYTES_MAX]).decode(),
            detail=detail[:1000],
            truncated=len(raw) > RAW_BYTES_MAX,
        )
        self._recorder.dead.labels(topic, reason).inc()
        _log.warning("a record was refused", topic=topic, offset=arrived.offset, reason=reason, detail=letter.detail)
        key = arrived.key if len(arrived.key or b"") <= KEY_BYTES_MAX else None
        await self._port.send(self._topic, key=key, value=encode_dead_letter(letter))
