"""What every detector obeys: a frozen configuration, a state, and pure functions between them.

A detector is a frozen ``msgspec.Struct`` (its configuration) whose methods are pure: they never change a state, and
the same inputs give the same outputs. A state is a frozen struct that may hold numpy arrays, of bounded size, and
goes through :mod:`detectors.state_codec` without loss.

Gates decide. Their arrays have one row for the total (row 0) and one for each segment, in the order in which
segments appeared (:class:`detectors.blocks.BlocksState`); rows are appended, never moved. Several releases in one
state have a group of rows each (:mod:`detectors.rows`). Observers alert.
"""

from __future__ import annotations

from typing import ClassVar, Protocol, TypeVar

import msgspec

from detectors.arrays import Floats

S = TypeVar("S")
B_contra = TypeVar("B_contra", contravariant=True)


class FailGate(Protocol[S, B_contra]):
    """Evidence that harm beyond the tolerance is there: an e-process in every row."""

    NAME: ClassVar[str]
    VERSION: ClassVar[int]

    def start(self) -> S:
        """The state before any block."""
        ...

    def observe(self, state: S, batch: B_contra) -> S:
        """The state after the blocks that closed at one moment."""
        ...

    def harm(self, state: S) -> Floats:
        """[R] natural log of the e-value of each row. Row 0 multiplies the segments'."""
        ...

    def evidence(self, state: S) -> float:
        """Natural log of the gate's e-value: half on the total, half spread over the segments."""
        ...


class PassGate(Protocol[S, B_contra]):
    """Evidence that harm beyond a margin is excluded, for each margin of a grid at once."""

    NAME: ClassVar[str]
    VERSION: ClassVar[int]

    def start(self) -> S:
        """The state before any block."""
        ...

    def restart(self, state: S) -> S:
        """The evidence since the last step begins anew; all else is kept."""
        ...

    def observe(self, state: S, batch: B_contra) -> S:
        """The state after the blocks that closed at one moment."""
        ...

    def excluded(self, state: S, *, recent: bool = False) -> Floats:
        """[R, G] natural log of the evidence against "harm >= margin g" in each row; PASS at log(1 / alpha).

        ``recent`` asks about the data since the last step alone.
        """
        ...


class Score(msgspec.Struct, frozen=True):
    """What an observer says of one value, judged by the past only.

    Parameters
    ----------
    z : distance from the past's mean in its standard deviations; None when not warm or without spread.
    unusual : the value is beyond the limit; None when not warm: unknown is not normal.
    alarm : enough of the last values were unusual; None when not warm.
    """

    z: float | None
    unusual: bool | None
    alarm: bool | None


class Observer(Protocol[S]):
    """Alerts on one number at a time. Score first, then learn: a value must not hide itself."""

    NAME: ClassVar[str]
    VERSION: ClassVar[int]

    def start(self) -> S:
        """The state before any value."""
        ...

    def score(self, state: S, x: float) -> Score:
        """What the past says of this value."""
        ...

    def learn(self, state: S, x: float) -> S:
        """The state with this value in its past."""
        ...


class Oddness(msgspec.Struct, frozen=True):
    """What an observer says of one vector, judged by the past only.

    Parameters
    ----------
    value : how odd, in the observer's own measure; None when not warm.
    limit : what it is compared with; None when not warm.
    unusual : the value is beyond the limit; None when not warm: unknown is not normal.
    alarm : enough of the last vectors were unusual; None when not warm.
    """

    value: float | None = None
    limit: float | None = None
    unusual: bool | None = None
    alarm: bool | None = None


class VectorObserver(Protocol[S]):
    """Alerts on vectors of one length, e.g. a window's metrics. Score first, then learn."""

    NAME: ClassVar[str]
    VERSION: ClassVar[int]

    def start(self) -> S:
        """The state before any vector."""
        ...

    def score(self, state: S, x: Floats) -> Oddness:
        """What the past says of this vector."""
        ...

    def learn(self, state: S, x: Floats) -> S:
        """The state with this vector in its past."""
        ...
