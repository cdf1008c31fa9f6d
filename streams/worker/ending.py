"""The end of a process that can no longer be sure of what it wrote."""

from __future__ import annotations

import os
import sys
from typing import NoReturn, Protocol

import structlog

EXIT_UNREACHABLE = 3

_log = structlog.stdlib.get_logger("serinus.worker")


class Ending(Protocol):
    """Ends this instance: nothing more is sent or stored."""

    def __call__(self, why: str, **fields: object) -> NoReturn: ...


def end_process(why: str, **fields: object) -> NoReturn:
    """Say why, and end the process at once.

    An orderly stop would flush producers and commit offsets, which is what must not happen any more after a failed
    write: whoever starts next recovers from what was acknowledged.
    """
    _log.critical(why, **fields)
    sys.stderr.flush()
    os._exit(EXIT_UNREACHABLE)
