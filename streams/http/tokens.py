"""The file of tokens: who may ask over HTTP, and who may give orders."""

from __future__ import annotations

import hashlib
import hmac
from enum import IntEnum
from pathlib import Path
from typing import Final

import msgspec

TOKENS_MAX: Final = 1_000
TOKEN_LENGTH_MIN: Final = 20
NAME_LENGTH_MAX: Final = 64


class TokensError(ValueError):
    """The file of tokens is wrong. One line: file, line, what is allowed. A token itself is never repeated."""


class Role(IntEnum):
    """What a token allows; each role may do all that the ones before it may."""

    VIEWER = 1
    OPERATOR = 2


class Holder(msgspec.Struct, frozen=True):
    """Who holds a token: the name stands in decisions as the actor."""

    name: str
    role: Role


class Tokens:
    """Digests of all tokens. The tokens themselves are forgotten as soon as they are read.

    Parameters
    ----------
    holders : SHA-256 digest of a token to its holder.
    """

    def __init__(self, holders: dict[bytes, Holder]) -> None:
        self._holders = holders

    def holder(self, token: str) -> Holder | None:
        """Whose token this is. Compares with every digest, in a time that does not depend on the token.

        >>> tokens = Tokens({digest("a-very-long-test-token"): Holder("ann", Role.VIEWER)})
        >>> tokens.holder("a-very-long-test-token").name, tokens.holder("guess") is None
        ('ann', True)
        """
        asked, found = digest(token), None
        for known, holder in self._holders.items():
            if hmac.compare_digest(asked, known):
                found = holder
        return found


def digest(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", errors="surrogateescape")).digest()


def read_tokens(path: Path) -> Tokens:
    """Read a file with a ``role name token`` on each line; empty lines and those that begin with # are left out.

    Raises
    ------
    TokensError : the file is not readable, or a line is not as it should be.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TokensError(f"{path}: not readable: {error}") from error
    holders: dict[bytes, Holder] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, holder = _entry(line, where=f"{path}:{number}")
        if key in holders:
            raise TokensError(f"{path}:{number}: the token of {holder.name} is that of {holders[key].name} as well")
        holders[key] = holder
    if not 1 <= len(holders) <= TOKENS_MAX:
        raise TokensError(f"{path}: found {len(holders)} tokens; allowed are 1 to {TOKENS_MAX}")
    return Tokens(holders)


def _entry(line: str, *, where: str) -> tuple[bytes, Holder]:
    words = line.split()
    if len(words) != 3:
        raise TokensError(f"{where}: found {len(words)} words; allowed is: viewer|operator NAME TOKEN")
    role, name, token = words
    if role.upper() not in Role.__members__:
        raise TokensError(f"{where}: found a role that is neither viewer nor operator")
    if len(name) > NAME_LENGTH_MAX:
        raise TokensError(f"{where}: the name has {len(name)} characters; allowed are up to {NAME_LENGTH_MAX}")
    if len(token) < TOKEN_LENGTH_MIN:
        allowed = f"allowed are {TOKEN_LENGTH_MIN} or more, e.g. from `openssl rand -hex 24`"
        raise TokensError(f"{where}: the token of {name} has {len(token)} characters; {allowed}")
    return digest(token), Holder(name, Role[role.upper()])
