"""Threads and Kafka clients do not survive a fork; whoever owns some is told in the child."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Something with a background thread."""

    def after_fork(self) -> None:
        """Forget the parent's thread and clients; runs in the child, must not block."""


_owners: weakref.WeakSet[Forkable] = weakref.WeakSet()
_abandoned: list[object] = []


def watch(owner: Forkable) -> None:
    """Call ``owner.after_fork()`` in every child from now on, for as long as the owner lives."""
    _owners.add(owner)


def abandon(client: object) -> None:
    """Keep a parent's client for ever: its destructor would wait for threads that the child does not have."""
    _abandoned.append(client)


def _in_child() -> None:
    for owner in list(_owners):
        owner.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
