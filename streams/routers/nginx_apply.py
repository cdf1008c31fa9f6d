"""One change of nginx's configuration: the file, the check, the reload."""

from __future__ import annotations

import subprocess
from pathlib import Path

from streams.routers.atomic_file import replace

TIMEOUT_S = 10.0


class NginxError(Exception):
    """The file could not be written, or nginx did not take it; the text says why."""


def apply(words: list[str], file: Path, text: str) -> None:
    """Write the file, check the whole configuration with it, and have it read.

    Raises
    ------
    NginxError : where it went wrong. The file is written unless the text speaks of writing.
    """
    try:
        replace(file, text)
    except OSError as error:
        raise NginxError(f"{file} cannot be written: {error.strerror}") from error
    _run([*words, "-t", "-q"])
    _run([*words, "-s", "reload"])


def _run(words: list[str]) -> None:
    shown = " ".join(words)
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NginxError(f"`{shown}` took longer than {TIMEOUT_S:g} s") from error
    except OSError as error:
        raise NginxError(f"`{shown}` cannot be run: {error.strerror}") from error
    if done.returncode:
        raise NginxError(f"`{shown}` ended with {done.returncode}: {done.stderr.strip()}")
