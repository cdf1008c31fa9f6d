"""Event files: JSON lines, plain or gzipped, or the standard input; bare events, or recorded records around them."""

from __future__ import annotations

import gzip
import os
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from io import BufferedReader
from itertools import chain
from pathlib import Path

import msgspec

from schemas.event import TS_BEHIND_MAX_MS
from schemas.file_errors import FileError
from streams.offline.recorded import Recorded, decode_recorded


class Line(msgspec.Struct, frozen=True):
    """One record of a source topic, as replay sees it.

    Parameters
    ----------
    log_ms : Unix ms, log time; never before the one of the line before, from the same file or an earlier one.
    """

    source: int
    offset: int
    log_ms: int
    value: bytes | None
    topic: str = ""


class _Timed(msgspec.Struct):
    ts_ms: int


_decode_time = msgspec.json.Decoder(_Timed).decode


def read_lines(paths: Sequence[Path]) -> Iterator[Line]:
    """The records of event files, one file after the other; ``-`` is the standard input.

    A bare event's log time is its ``ts_ms``. A line that has none, or one more than a day ahead (it would turn every
    later event into one of the past), stands where the line before it stood. A file whose first line is a recorded
    record is read whole and put into the order of its log-append times.

    Raises
    ------
    schemas.file_errors.FileError : a file cannot be read, or a line of a recording is none.
    """
    now_ms = offset = 0
    for path in paths:
        lines = _lines(path)
        first = next(lines, None)
        if first is None:
            continue
        if _is_recording(first):
            for one in _recording(chain([first], lines), path):
                now_ms = max(now_ms, one.ts)
                yield Line(one.partition, one.offset, now_ms, one.value, one.topic)
            continue
        for line in chain([first], lines):
            now_ms = _moved(now_ms, line)
            yield Line(0, offset, now_ms, line)
            offset += 1


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file that hold anything, without their ends."""
    try:
        with _opened(path) as file:
            for line in _unpacked(file):
                if stripped := line.strip():
                    yield stripped
    except (OSError, EOFError, zlib.error) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise FileError(file=str(path), line=1, field="the file", what=f"not readable: {what}") from error


def _opened(path: Path) -> BufferedReader:
    return os.fdopen(sys.stdin.fileno(), "rb", closefd=False) if str(path) == "-" else path.open("rb")


def _unpacked(file: BufferedReader) -> Iterable[bytes]:
    """The lines of the file, or of what is inside of it when it is gzipped: told by its first two bytes."""
    return gzip.GzipFile(fileobj=file) if file.peek(2)[:2] == b"\x1f\x8b" else file


def _is_recording(line: bytes) -> bool:
    try:
        found = decode_recorded(line)
    except msgspec.DecodeError:
        return False
    return found.value is not None


def _recording(lines: Iterable[bytes], path: Path) -> list[Recorded]:
    found: list[Recorded] = []
    for number, line in enumerate(lines, start=1):
        try:
            found.append(decode_recorded(line))
        except msgspec.DecodeError as error:
            what = f"{error}; the file began as a recording: allowed are records with partition, offset, ts, payload"
            raise FileError(file=str(path), line=number, field="the record", what=what) from error
    return sorted(found, key=lambda one: (one.ts, one.partition, one.offset))


def _moved(now_ms: int, line: bytes) -> int:
    try:
        ts_ms = _decode_time(line).ts_ms
    except (msgspec.DecodeError, RecursionError):
        return now_ms
    return max(now_ms, ts_ms) if not now_ms or ts_ms - now_ms <= TS_BEHIND_MAX_MS else now_ms
