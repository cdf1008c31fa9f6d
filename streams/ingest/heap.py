"""How the C library keeps the memory of arrays that come and go with every batch."""

from __future__ import annotations

import ctypes
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
"""Of glibc's ``malloc.h``."""

ARRAY_BYTES_MAX: Final = 16 * 1024 * 1024
"""No array of a piece is larger; librdkafka's buffers are not either."""

FREE_BYTES_MAX: Final = 32 * 1024 * 1024
"""More than this at the end of the heap is given back to the system."""


def keep_freed_memory() -> bool:
    """Let arrays be made of memory that is there, for the rest of the process.

    By default glibc asks the system for each array above 128 KB and gives it back after use, so that every page of
    every array is a fault of its own: on a virtual machine ten times what it costs to fill it.

    Returns
    -------
    Whether the C library knows of it; another one than glibc does as it likes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, ARRAY_BYTES_MAX)) and bool(mallopt(_M_TRIM_THRESHOLD, FREE_BYTES_MAX))
