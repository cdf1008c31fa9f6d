"""The array types of this package, by what they hold."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bins = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]


@lru_cache(maxsize=1024)
def constant(numbers: tuple[float, ...]) -> Floats:
    """The array of some numbers that never change, such as a detector's grid; read-only.

    >>> constant((1.5, 2.0)).tolist(), constant((1.5, 2.0)) is constant((1.5, 2.0))
    ([1.5, 2.0], True)
    """
    array = np.array(numbers, dtype=np.float64)
    array.flags.writeable = False
    return array
