"""One thing to be told to one target: made of a decision and one of its hooks."""

from __future__ import annotations

from typing import NamedTuple, assert_never
from urllib.parse import quote

from schemas.decision import Decision
from schemas.hook import Hook
from streams.hooks.alertmanager import alertmanager_body
from streams.hooks.retraining import retraining_body
from streams.hooks.slack import slack_body
from streams.hooks.targets import Command, Webhook


class Delivery(NamedTuple):
    """What is sent where.

    Parameters
    ----------
    key : the same for every repetition, also after a restart; no other delivery has it.
    action : of the decision.
    about : what it is about, for logs.
    place : partition and offset of the decision.
    until_s : of the monotonic clock; no try begins later, apart from the first.
    """

    key: str
    target: Webhook | Command
    format: str
    action: str
    body: bytes
    about: str
    place: tuple[int, int]
    until_s: float

    @property
    def lane(self) -> str:
        """What goes to one target goes in order, and waits for nothing else."""
        return self.target.url if isinstance(self.target, Webhook) else self.target.shown


class Failure(NamedTuple):
    """Why a try failed.

    Parameters
    ----------
    again : whether another try may help.
    after_s : the target asks to be left alone for so long.
    """

    why: str
    again: bool = True
    after_s: float = 0.0


def key_of(decision: Decision, index: int) -> str:
    """The name of a delivery, of letters that every header takes.

    >>> from schemas.decision import Action, State
    >>> from schemas.evidence import Verdict
    >>> hold = Decision("chät", "chät-1", 7, 0, Action.HOLD, State.HOLDING, Verdict.NO_DATA, {}, "serinus", "silence")
    >>> key_of(hold, 2)
    'ch%C3%A4t-1/7/2'
    """
    return f"{quote(decision.release_id, safe=':')}/{decision.epoch}/{index}"


def body_of(hook: Hook, decision: Decision, raw: bytes, *, key: str, topic: str) -> bytes:
    """What is sent, in the hook's format.

    Parameters
    ----------
    raw : the decision as it stands on the topic.
    topic : of events, as it is called on the broker.
    """
    match hook.format:
        case "decision":
            return raw
        case "slack":
            return slack_body(decision)
        case "alertmanager":
            return alertmanager_body(decision)
        case "retrain":
            return retraining_body(decision, key=key, topic=topic)
        case _:
            assert_never(hook.format)
