"""What the worker knows of one service: everything that its fold reads, and nothing else."""

from __future__ import annotations

import msgspec

from releases.judge import JudgeState
from releases.release_state import ReleaseState
from schemas.basis import Basis
from schemas.command import Command
from schemas.report import Cell

STATE_VERSION = 1
"""Format of a stored service; an unknown one stops that service's judgement loudly."""


class Source(msgspec.Struct, frozen=True):
    """How far one source partition is, as this service has seen it."""

    newest_slice: int
    moved_ms: int
    """Inputs' log time at which ``newest_slice`` was first seen."""
    folded: int = -1
    """Slices up to this one are in the windows; nothing of them is taken again."""
    through: int = -1
    """Last offset of the source partition that the evidence contains."""


class Stored(msgspec.Struct, frozen=True):
    """The part of a service's state that a checkpoint holds."""

    service: str
    created: int
    """Input offset at which the service was first seen; earlier inputs are not its own."""
    release: ReleaseState
    judge: JudgeState | None = None
    applied: int = -1
    """Largest input offset that was folded."""
    now_ms: int = 0
    """Running maximum of the inputs' log-append time."""
    sources: dict[str, Source] = {}
    """By ``topic id/partition``."""
    shown_ms: dict[int, int] = {}
    """Per pending beat: when a later slice was first shown."""
    judged: int = -1
    """Newest beat whose evidence is closed."""
    unfolded: dict[str, dict[int, int]] = {}
    """Per source and slice that was judged and is not yet in the windows: how many requests were judged."""
    late: int = 0
    """Requests that came after their beat was judged: in the windows, not in the evidence."""
    format: int = STATE_VERSION


class OpenSlice(msgspec.Struct, frozen=True):
    """The longest prefix so far of one slice, for one service. Not stored: recovery reads it again from the inputs."""

    through_offset: int
    last_input: int
    """Offset of the last input that carried this prefix: where a recovery has to begin."""
    cells: tuple[Cell, ...]


class Service(msgspec.Struct, frozen=True):
    """One service in memory: what is stored, and the slices still open by ``(source, slice_no)``."""

    stored: Stored
    open: dict[tuple[str, int], OpenSlice] = {}

    @property
    def replay_from(self) -> int:
        """The input offset from which a recovery must read (exactness rule 14)."""
        return min((s.last_input for s in self.open.values()), default=self.stored.applied + 1)


class SliceSeen(msgspec.Struct, frozen=True):
    """A report, as far as it concerns one service: its cells only, possibly none."""

    source: str
    slice_no: int
    through_offset: int
    cells: tuple[Cell, ...]


class TimePassed(msgspec.Struct, frozen=True):
    """A tick."""


class Asked(msgspec.Struct, frozen=True):
    """A command for this service."""

    command: Command


class BasisLearned(msgspec.Struct, frozen=True):
    """Effect: ingest is to count vectors of this service in a basis, or no longer, when the release has ended."""

    service: str
    basis: Basis | None


class Input(msgspec.Struct, frozen=True):
    """One record of ``canary.inputs``, seen by one service."""

    offset: int
    log_ms: int
    body: SliceSeen | TimePassed | Asked


class WindowAdded(msgspec.Struct, frozen=True):
    """Effect: these cells, all of one pane, are to be merged into the window of that pane."""

    pane: int
    cells: tuple[Cell, ...]
