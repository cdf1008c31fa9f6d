"""The agent of ``canary.commands``: a valid command goes into the one ordered input, a bad one is answered or kept."""

from __future__ import annotations

import msgspec
import structlog

from schemas.command import Command, decode_command
from schemas.decision import Refusal, encode_record
from schemas.decoding import decoded
from schemas.event import NAME_LENGTH_MAX
from schemas.file_errors import RuleError
from schemas.inputs import Forwarded, encode_input
from streams.service_partition import partition_of
from streams.settings import Settings
from streams.topics import COMMANDS, DECISIONS, INPUTS
from streams.worker.broker_port import BrokerPort, SendFailedError
from streams.worker.dead_letters import DeadLetters
from streams.worker.ending import Ending
from streams.worker.faust_app import Arrived
from streams.worker.recorder import Recorder

_log = structlog.stdlib.get_logger("serinus.worker")


class _Sender(msgspec.Struct):
    """What is needed to answer a command that cannot be read in full."""

    id: str
    service: str
    actor: str = "unknown"


_sender_decoder = msgspec.json.Decoder(_Sender)


class CommandsAgent:
    """Handles the records of ``canary.commands``. It never raises: what cannot go on ends the process."""

    def __init__(
        self, settings: Settings, partitions: int, port: BrokerPort, recorder: Recorder, ending: Ending
    ) -> None:
        self._commands, self._inputs = settings.topic(COMMANDS), settings.topic(INPUTS)
        self._decisions = settings.topic(DECISIONS)
        self._partitions, self._port, self._recorder, self._ending = partitions, port, recorder, ending
        self._dead_letters = DeadLetters(settings, port, recorder)

    async def handle(self, arrived: Arrived) -> None:
        """Take one record."""
        try:
            await self._take(arrived)
        except SendFailedError as error:
            self._ending("a write was not acknowledged; nothing more is sent", error=str(error))
        except Exception as error:
            _log.critical("a defect in the worker", offset=arrived.offset, exc_info=True)
            self._ending("the worker stops at a defect", error=f"{type(error).__name__}: {error}")

    async def _take(self, arrived: Arrived) -> None:
        try:
            command = decode_command(arrived.value or b"")
        except (msgspec.DecodeError, RuleError) as error:
            await self._refuse(arrived, error)
            return
        await self._forward(command)

    async def _forward(self, command: Command) -> None:
        """The partition is chosen here: this topic may have another number of partitions than the inputs."""
        await self._port.send(
            self._inputs,
            key=None,
            value=encode_input(Forwarded(command=command)),
            partition=partition_of(command.service, self._partitions),
        )
        self._recorder.commands.inc()
        _log.info("command", service=command.service, command=command.command.value, actor=command.actor)

    async def _refuse(self, arrived: Arrived, error: Exception) -> None:
        path = error.path if isinstance(error, RuleError) else "$"
        await self._dead_letters.refuse(
            arrived, topic=self._commands, reason="not a command", detail=str(error), path=path
        )
        try:
            sender = decoded(_sender_decoder.decode, arrived.value or b"")
        except msgspec.DecodeError:
            return
        if max(map(len, (sender.id, sender.service, sender.actor))) > NAME_LENGTH_MAX:
            # The dead letter must do: nobody waits for such an answer, and it might not fit into a record.
            return
        refusal = Refusal(
            service=sender.service,
            command_id=sender.id,
            at_ms=arrived.log_ms,
            actor=sender.actor,
            reason=f"the command is not valid: {error}"[:1000],
        )
        await self._port.send(self._decisions, key=sender.service.encode(), value=encode_record(refusal))
