"""Where the demo shows itself: a live table on a terminal, lines elsewhere, JSON lines for programs."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live

from schemas.decision import Decision
from streams.cli.output import print_json
from streams.cli.release_view import decision_line
from streams.demo.outcome import summary
from streams.demo.scene import Scene
from streams.demo.view import closing, opening, screen, status_line

STATUS_EVERY_S = 5.0


class Display(Protocol):
    """What the demo tells, in order: opening, then decisions and time passing, then the end."""

    def opening(self, *, speed: float, brokers: str) -> None: ...
    def decision(self, decision: Decision) -> None: ...
    def passing(self, scene: Scene, now_s: float) -> None: ...
    def closing(self, scene: Scene, *, brokers: str, seconds: float) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _Quiet:
    def opening(self, *, speed: float, brokers: str) -> None:
        """Say nothing."""

    def decision(self, decision: Decision) -> None:
        """Say nothing."""

    def passing(self, scene: Scene, now_s: float) -> None:
        """Say nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""


class JsonLines(_Quiet):
    """Decisions as they are on the topic, then a summary."""

    def decision(self, decision: Decision) -> None:
        print_json(decision)

    def closing(self, scene: Scene, *, brokers: str, seconds: float) -> None:
        print_json(summary(scene, brokers=brokers, seconds=seconds))


class Lines(_Quiet):
    """Plain lines: every decision, and how things stand every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._due_s = STATUS_EVERY_S

    def opening(self, *, speed: float, brokers: str) -> None:
        self._say(*opening(speed=speed, brokers=brokers))

    def decision(self, decision: Decision) -> None:
        self._say(decision_line(decision))

    def passing(self, scene: Scene, now_s: float) -> None:
        if now_s >= self._due_s:
            self._due_s += STATUS_EVERY_S
            self._say(*(status_line(release, now_s) for release in scene.releases))

    def closing(self, scene: Scene, *, brokers: str, seconds: float) -> None:
        self._say(f"The demo took {seconds:.0f} s; Kafka: {brokers}.", *closing(scene))

    def _say(self, *lines: str) -> None:
        for line in lines:
            # A file gets its lines whole; on a terminal they break between words.
            self._console.print(line, soft_wrap=not self._console.is_terminal, highlight=False, markup=False)


class LiveTable(Lines):
    """A table that is drawn anew a few times a second."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._live = Live(console=console, auto_refresh=False)

    def decision(self, decision: Decision) -> None:
        """The table shows it."""

    def passing(self, scene: Scene, now_s: float) -> None:
        self._live.update(screen(scene, now_s), refresh=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()


def display(console: Console, *, as_json: bool) -> Display:
    """The display that fits where the output goes."""
    if as_json:
        return JsonLines()
    return LiveTable(console) if console.is_terminal else Lines(console)
