"""What was said of a state is said again for nothing: a judge rules at every beat, and blocks close at few."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

Answer = TypeVar("Answer")


def remembered(work: Callable[..., Answer]) -> Callable[..., Answer]:
    """A pure function that remembers its answers about an object for as long as the object lives.

    Parameters
    ----------
    work : of an immutable object that is hashed by identity and can be referred to weakly, and of hashable arguments.

    >>> class Known:
    ...     pass
    >>> asked = []
    >>> @remembered
    ... def length(known: Known, unit: str) -> str:
    ...     asked.append(unit)
    ...     return f"1 {unit}"
    >>> known = Known()
    >>> length(known, "m"), length(known, "m"), length(known, "ft"), asked
    ('1 m', '1 m', '1 ft', ['m', 'ft'])
    """
    answers: WeakKeyDictionary[Any, dict[tuple[Any, ...], Answer]] = WeakKeyDictionary()

    @wraps(work)
    def answer(known: Any, *asked: Any) -> Answer:
        of_known = answers.setdefault(known, {})
        if asked not in of_known:
            of_known[asked] = work(known, *asked)
        return of_known[asked]

    return answer
