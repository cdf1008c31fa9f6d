"""Is the audit whole? Each record of a service names the hash of the one before it, so what is missing shows."""

from __future__ import annotations

import msgspec

from schemas.decision import GENESIS, Decision, Record, hash_of


class Finding(msgspec.Struct, frozen=True):
    """Something that a chain which nobody touched does not have."""

    service: str
    at_ms: int
    what: str


class Link(msgspec.Struct, frozen=True):
    """One record as it is told apart: the hash of its bytes, the one that it names, and its words for a finding."""

    hash: str
    previous: str
    epoch: int
    name: str


class Chain:
    """The records of one service, one after another in the order of the topic.

    A record that comes again byte for byte is no second one: after a crash the worker publishes again what may not
    have been read. Nothing tells what was removed from the end, or together with all that is older, apart from what
    never was: for that the newest hash has to be kept elsewhere, or the newest route's epoch be known.

    Parameters
    ----------
    service : whose records they are.

    >>> from schemas.decision import Refusal, encode_record
    >>> first = Refusal("chat", "c1", 1, "ann", "no", previous_hash=GENESIS)
    >>> second = Refusal("chat", "c2", 2, "ann", "no", previous_hash=hash_of(encode_record(first)))
    >>> third = Refusal("chat", "c3", 3, "ann", "no", previous_hash=hash_of(encode_record(second)))
    >>> chain = Chain("chat")
    >>> for record in (first, third):
    ...     chain.add(encode_record(record), record)
    >>> [finding.what for finding in chain.findings]
    ['the record before the refusal of command c3 is missing or was altered']
    """

    def __init__(self, service: str) -> None:
        self.service = service
        self.links: dict[str, Link] = {}
        self.findings: list[Finding] = []
        self.repeated, self.outside = 0, 0
        self.head: str | None = None
        self._followed: dict[str, str] = {}

    @property
    def whole(self) -> bool:
        """Whether the first record that there is was the service's first one."""
        first = next(iter(self.links.values()), None)
        return first is not None and first.previous == GENESIS

    @property
    def epoch(self) -> int:
        """Of the newest decision; 0 without any."""
        return max((link.epoch for link in self.links.values()), default=0)

    def add(self, raw: bytes, record: Record) -> None:
        """Take the next record.

        Parameters
        ----------
        raw : as it stands on the topic.
        record : the same, decoded.
        """
        link = Link(hash_of(raw), record.previous_hash, getattr(record, "epoch", 0), _name(record))
        if link.hash in self.links:
            self.repeated += 1
        elif not link.previous:
            self._outside(record, link)
        else:
            self._follow(record, link)

    def _outside(self, record: Record, link: Link) -> None:
        """Of before there were hashes; or the refusal of a command that nobody could read, which no chain has."""
        self.outside += 1
        if isinstance(record, Decision) and self.links:
            self._find(record.at_ms, f"{link.name} names no record before it: no worker wrote it")

    def _follow(self, record: Record, link: Link) -> None:
        if self.links and link.previous not in self.links:
            self._find(record.at_ms, f"the record before {link.name} is missing or was altered")
        elif link.previous in self._followed:
            rival = self.links[self._followed[link.previous]].name
            self._find(
                record.at_ms,
                f"{link.name} and {rival} follow the same record: one of them was added, or two workers wrote at once",
            )
        self.links[link.hash] = link
        self._followed[link.previous] = self.head = link.hash

    def _find(self, at_ms: int, what: str) -> None:
        self.findings.append(Finding(self.service, at_ms, what))


def _name(record: Record) -> str:
    if isinstance(record, Decision):
        return f"the {record.action.value} of {record.release_id} with epoch {record.epoch}"
    return f"the refusal of command {record.command_id}"
