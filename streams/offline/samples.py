"""Recorded columns: numbers to draw from, and times at which requests arrived."""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path

import numpy as np

from detectors.arrays import Floats
from schemas.file_errors import FileError


@lru_cache(maxsize=64)
def read_numbers(path: Path, column: str) -> Floats:
    """The numbers of one column of a CSV file with a header, in file order.

    Raises
    ------
    schemas.file_errors.FileError : the file, its column or a number in it is not there.
    """
    cells = _read_cells(path, column)
    try:
        numbers = np.array(cells, dtype=np.float64)
    except ValueError as error:
        raise _problem(path, column, f"{error}; allowed are numbers") from error
    if not np.isfinite(numbers).all():
        raise _problem(path, column, "found a number that is not finite; allowed are finite numbers")
    return numbers


@lru_cache(maxsize=16)
def read_times_s(path: Path, column: str) -> Floats:
    """The times of one column since the first of them, s, ascending.

    Times are dates with a time of day, or plain seconds.

    Raises
    ------
    schemas.file_errors.FileError : the file, its column or a time in it is not there, or there are fewer than two.
    """
    cells = _read_cells(path, column)
    try:
        at_s = np.array(cells, dtype=np.float64)
    except ValueError:
        try:
            moments = np.array(cells, dtype="datetime64[ns]")
        except ValueError as error:
            raise _problem(path, column, f"{error}; allowed are dates with a time, or seconds") from error
        at_s = (moments - moments.min()) / np.timedelta64(1, "s")
    at_s = np.sort(at_s - at_s.min())
    if at_s.size < 2 or not np.isfinite(at_s).all() or at_s[-1] <= 0:
        raise _problem(path, column, "found fewer than two moments; allowed are two or more")
    return at_s


def _read_cells(path: Path, column: str) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            names = list(reader.fieldnames or ())
            if column not in names:
                raise _problem(path, column, f"no such column; allowed are {', '.join(names)}")
            cells = [row[column] or "" for row in reader]
    except (OSError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise _problem(path, column, f"not readable: {what}") from error
    if not cells:
        raise _problem(path, column, "found no row; allowed are one or more")
    return cells


def _problem(path: Path, column: str, what: str) -> FileError:
    return FileError(file=str(path), line=1, field=column, what=what)
