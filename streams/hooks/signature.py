"""Who called: the HMAC of time and body, with keys that only this machine and the receiver have."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from pathlib import Path

from streams.settings_load import SettingsError

HEADER = "Serinus-Signature"
KEYS_MAX = 4
KEY_LENGTH_MIN = 20


def signature(body: bytes, keys: Sequence[bytes], *, at_s: int) -> str:
    """The header's value: the time, and for each key the HMAC-SHA256 of ``time.body``.

    Parameters
    ----------
    keys : several while one is being changed; a receiver takes the one that it knows.
    at_s : Unix seconds of this try, so that a receiver can refuse what somebody recorded long ago.

    >>> signature(b"{}", [b"0123456789abcdefghij"], at_s=1)[:20]
    't=1,v1=eabb460801def'
    """
    signed = f"{at_s}.".encode() + body
    digests = (hmac.new(key, signed, hashlib.sha256).hexdigest() for key in keys)
    return ",".join([f"t={at_s}", *(f"v1={digest}" for digest in digests)])


def read_keys(path: Path) -> tuple[bytes, ...]:
    """Read a file with a key on each line; empty lines and those that begin with # are left out.

    Raises
    ------
    SettingsError : the file is not readable, or a line is no key. A key itself is never repeated.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"hooks_secret_file: {path}: not readable: {error}") from error
    keys = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not 1 <= len(keys) <= KEYS_MAX:
        raise SettingsError(f"hooks_secret_file: {path}: found {len(keys)} keys; allowed are 1 to {KEYS_MAX}")
    for key in keys:
        if len(key) < KEY_LENGTH_MIN:
            allowed = f"allowed are {KEY_LENGTH_MIN} or more, e.g. from `openssl rand -hex 32`"
            raise SettingsError(f"hooks_secret_file: {path}: found a key of {len(key)} characters; {allowed}")
    return tuple(key.encode() for key in keys)
