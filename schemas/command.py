"""Commands: what operators ask of a release, on ``canary.commands`` as JSON."""

from __future__ import annotations

import enum

import msgspec

from schemas.decoding import decoded
from schemas.event import NAME_LENGTH_MAX
from schemas.file_errors import RuleError
from schemas.plan import Plan, check_rules
from schemas.units import PPM, decode_hook, encode_hook

REASON_LENGTH_MAX = 1000
EPOCH_MAX = 2**62
TIME_MS_MAX = 253_402_300_800_000
"""The year 10000."""


class Verb(enum.Enum):
    """What can be asked."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    ABORT = "abort"
    SET_WEIGHT = "set_weight"
    CONFIRM = "confirm"


class Command(msgspec.Struct, frozen=True, tag="command", tag_field="type"):
    """One command. ``id`` makes it safe to send it twice; actor and reason are recorded with what it caused."""

    id: str
    service: str
    command: Verb
    actor: str
    reason: str
    issued_at_ms: int
    plan: Plan | None = None
    version: str | None = None
    weight_ppm: int | None = None
    expected_epoch: int | None = None
    """Refused unless this is the epoch of the service's newest decision: nobody undoes what he has not seen."""
    replace: bool = False
    """Of a start: a release that is under way is aborted first."""
    skip_evidence: bool = False
    """Of a promotion: whatever the evidence says."""


_decoder = msgspec.json.Decoder(Command, dec_hook=decode_hook)


def decode_command(raw: bytes) -> Command:
    """Decode and check a command.

    Raises
    ------
    msgspec.DecodeError : it is not JSON, or a field is missing or mistyped.
    RuleError : a rule between fields is broken.
    """
    command = decoded(_decoder.decode, raw)
    check_command(command)
    return command


def encode_command(command: Command) -> bytes:
    """The command as JSON."""
    return msgspec.json.encode(command, enc_hook=encode_hook)


def check_command(command: Command) -> None:
    """Check what types cannot say; raises :class:`RuleError`."""
    for path, value in (("$.id", command.id), ("$.service", command.service), ("$.actor", command.actor)):
        if not 1 <= len(value) <= NAME_LENGTH_MAX:
            raise RuleError(path, f"found {len(value)} characters; allowed are 1 to {NAME_LENGTH_MAX}")
    if not 1 <= len(command.reason.strip()) <= REASON_LENGTH_MAX:
        raise RuleError("$.reason", f"found {len(command.reason)} characters; allowed are 1 to {REASON_LENGTH_MAX}")
    if not 0 <= command.issued_at_ms <= TIME_MS_MAX:
        # JSON has whole numbers of any length, and msgpack, into which a command goes next, has not.
        raise RuleError("$.issued_at_ms", f"allowed are 0 to {TIME_MS_MAX}")
    if (command.command is Verb.START) != (command.plan is not None):
        raise RuleError("$.plan", "a start command carries a plan, and no other command does")
    if command.plan is not None:
        check_rules(command.plan)
        if command.plan.service != command.service:
            raise RuleError("$.plan.service", f"found {command.plan.service!r}; the command is for {command.service!r}")
    if command.command is Verb.SET_WEIGHT and (command.version is None or command.weight_ppm is None):
        raise RuleError("$.version", "a set_weight command needs version and weight_ppm")
    if command.replace and command.command is not Verb.START:
        raise RuleError("$.replace", f"only a start can replace a release, found {command.command.value}")
    if command.skip_evidence and command.command is not Verb.PROMOTE:
        raise RuleError("$.skip_evidence", f"only a promotion asks for evidence, found {command.command.value}")
    if command.expected_epoch is not None and not 0 <= command.expected_epoch <= EPOCH_MAX:
        raise RuleError("$.expected_epoch", f"found {command.expected_epoch}; allowed are 0 to {EPOCH_MAX}")
    if command.weight_ppm is not None and not 0 <= command.weight_ppm <= PPM:
        raise RuleError("$.weight_ppm", f"found {command.weight_ppm}; allowed are 0 to {PPM}")
