"""Where a hook leads on this machine, or why nowhere: plans are data, and what they may set off is said here."""

from __future__ import annotations

from typing import NamedTuple

from schemas.file_errors import RuleError
from schemas.hook import Hook, check_url
from streams.hooks.allow import allowed
from streams.settings import Settings


class Webhook(NamedTuple):
    """A URL to call; ``shown`` stands for it in logs, where a URL that is a secret has no place."""

    url: str
    shown: str


class Command(NamedTuple):
    """A program to run with its arguments; what is sent stands on its input."""

    argv: tuple[str, ...]
    shown: str


class Refused(NamedTuple):
    """Nothing that this machine does, and why."""

    why: str


def target_of(hook: Hook, settings: Settings) -> Webhook | Command | Refused:
    """Look a hook up in the settings.

    >>> target_of(Hook(("hold",), webhook="http://10.0.0.1/admin"), Settings()).why
    'webhook http://10.0.0.1/admin: hooks_allow names nothing that it begins with'
    >>> target_of(Hook(("hold",), command="page"), Settings(hooks_commands={"page": ["/usr/bin/page"]})).argv
    ('/usr/bin/page',)
    """
    shown = hook.target
    if hook.command is not None:
        argv = settings.hooks_commands.get(hook.command)
        return Refused(f"{shown}: hooks_commands has no such name") if argv is None else Command(tuple(argv), shown)
    if hook.url is None:
        url = settings.hooks_webhooks.get(hook.webhook or "")
        return Refused(f"{shown}: hooks_webhooks has no such name") if url is None else Webhook(url, shown)
    try:
        # A decision on the topic need not have gone through a plan.
        check_url("webhook", hook.url)
    except RuleError as error:
        return Refused(f"webhook: {error.what}")
    if not allowed(hook.url, settings.allowed_prefixes):
        return Refused(f"{shown}: hooks_allow names nothing that it begins with")
    return Webhook(hook.url, shown)
