"""Hooks: who is told when a release moves, as a plan writes it."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from schemas.file_errors import RuleError

HOOKS_MAX = 16
URL_LENGTH_MAX = 2_048

Occasion = Literal[
    "start",
    "advance",
    "lower",
    "stop",
    "hold",
    "rollback",
    "promote",
    "pause",
    "resume",
    "abort",
    "set_weight",
    "confirm",
]
"""The values of :class:`schemas.decision.Action`; a test holds both together."""

_SCHEME = re.compile(r"https?://")
# What RFC 3986 allows and nothing beyond it: whatever two parsers could read differently is refused.
_URL = re.compile(
    r"https?://"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::\d{1,5})?"
    r"(?:/(?:[A-Za-z0-9._~!$&'()*+;=:@/-]|%[0-9A-Fa-f]{2})*)?"
    r"(?:\?(?:[A-Za-z0-9._~!$&'()*+;=:@/?-]|%[0-9A-Fa-f]{2})*)?"
)
_DOTS = re.compile(r"/(?:\.|%2[eE]){1,2}(?=/|\?|$)|%2[fF]|%5[cC]")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?")


class Hook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who is told of some decisions: exactly one of ``webhook`` and ``command``.

    Parameters
    ----------
    when : the decisions' actions. Not ``on``, which YAML reads as ``true``.
    webhook : an http or https URL, or the name of one that the machine's settings know.
    command : the name of a command that the machine's settings know; a plan never says what is executed.
    format : the shape of what is sent.
    """

    when: tuple[Occasion, ...]
    webhook: str | None = None
    command: str | None = None
    format: Literal["decision", "slack", "alertmanager", "retrain"] = "decision"

    @property
    def target(self) -> str:
        """Where it leads, as people read it.

        >>> Hook(("hold",), command="page").target
        'command page'
        """
        return f"command {self.command}" if self.command is not None else f"webhook {self.webhook}"

    @property
    def url(self) -> str | None:
        """The URL that the plan itself names; None when the machine's settings know it."""
        return self.webhook if self.webhook is not None and "/" in self.webhook else None


def check_hooks(path: str, hooks: tuple[Hook, ...]) -> None:
    """Check what types cannot say; raises :class:`RuleError` with a path from the plan's root."""
    if len(hooks) > HOOKS_MAX:
        raise RuleError(path, f"found {len(hooks)} hooks; allowed are {HOOKS_MAX}")
    for index, hook in enumerate(hooks):
        here = f"{path}[{index}]"
        _check_occasions(f"{here}.when", hook)
        if (hook.webhook is None) == (hook.command is None):
            found = "neither webhook nor command" if hook.webhook is None else "webhook and command"
            raise RuleError(here, f"found {found}; allowed is exactly one of them")
        if hook.url is not None:
            check_url(f"{here}.webhook", hook.url)
        else:
            field = "command" if hook.command is not None else "webhook"
            check_hook_name(f"{here}.{field}", hook.command or hook.webhook or "")
        for before, other in enumerate(hooks[:index]):
            if (other.target, other.format) == (hook.target, hook.format):
                raise RuleError(here, f"found the target and format of hooks[{before}] again; put both into one")


def check_url(path: str, url: str) -> None:
    """Refuse a URL that is not plainly one; raises :class:`RuleError`.

    >>> check_url("$", "https://hooks.example/a/../b")
    Traceback (most recent call last):
    schemas.file_errors.RuleError: found a path with dots or encoded slashes; allowed is where it leads to - at `$`
    """
    if len(url) > URL_LENGTH_MAX:
        raise RuleError(path, f"found {len(url)} characters; allowed are {URL_LENGTH_MAX}")
    if not _SCHEME.match(url):
        raise RuleError(path, f"found {url!r}; allowed is http:// or https://")
    if "@" in url.split("://", 1)[1].split("/", 1)[0]:
        # Not repeated: it is a secret, and errors are logged.
        raise RuleError(path, "found a user in the URL; allowed is none, since everybody who sees the audit reads it")
    if not _URL.fullmatch(url) or _port(url) > 65_535:
        raise RuleError(path, f"found {url!r}; allowed is a URL of host, port, path and query, the rest as %XX")
    if _DOTS.search(url.split("://", 1)[1].split("?", 1)[0]):
        raise RuleError(path, "found a path with dots or encoded slashes; allowed is where it leads to")


def check_hook_name(path: str, name: str) -> None:
    """Refuse what is no name of a webhook or command in the settings; raises :class:`RuleError`."""
    if not _NAME.fullmatch(name):
        allowed = "a name of up to 64 small letters, digits, dashes and underscores"
        if path.endswith("webhook"):
            allowed = f"a URL such as https://hooks.example/serinus, or {allowed}"
        raise RuleError(path, f"found {name!r}; allowed is {allowed}")


def _check_occasions(path: str, hook: Hook) -> None:
    if not hook.when:
        raise RuleError(path, "found nothing; name at least one action, such as rollback")
    for index, action in enumerate(hook.when):
        if action in hook.when[:index]:
            raise RuleError(f"{path}[{index}]", f"found {action!r} twice; allowed once")
        if hook.format == "retrain" and action not in {"hold", "rollback", "stop"}:
            raise RuleError(f"{path}[{index}]", f"found {action!r} for retrain; allowed are hold, rollback, stop")
        if hook.format == "alertmanager" and action == "start":
            raise RuleError(f"{path}[{index}]", "found 'start' for alertmanager; no alert begins or ends with it")


def _port(url: str) -> int:
    found = re.match(r"https?://(?:\[[^\]]*\]|[^/:?]*):(\d+)", url)
    return int(found[1]) if found else 0
