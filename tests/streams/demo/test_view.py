from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from schemas.decision import Action, State
from streams.demo.display import JsonLines, Lines, LiveTable, display
from streams.demo.scene import Scene
from streams.demo.view import opening, screen, status_line
from tests.streams.demo.conftest import Decide


def text_of(scene: Scene, now_s: float, width: int = 110) -> str:
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as captured:
        console.print(screen(scene, now_s))
    return captured.get()


def test_the_table_shows_both_arms_of_both_services(scene: Scene, decide: Decide) -> None:
    """Route, measured share, requests, error rate, latency, state, verdict and reason of each release are in view."""
    scene.add(decide("chat", 1, Action.START, State.RAMPING, 500_000))
    for release in scene.releases:
        release.service.serve(2.0)
    shown = text_of(scene, 2.0)
    for part in ("chat", "code", "v1 baseline", "v2 canary", "50 %", "ramping", "INCONCLUSIVE", "start for a reason"):
        assert part in shown, part
    assert "2 s  3 events/s  http://127.0.0.1:1/v1/services" in shown


def test_the_table_fits_a_small_terminal(scene: Scene, decide: Decide) -> None:
    """Nothing is cut off at 80 columns."""
    scene.add(decide("chat", 1, Action.START, State.RAMPING, 500_000))
    for release in scene.releases:
        release.service.serve(200_000.0)
    shown = text_of(scene, 2.0, width=80)
    assert "…" not in shown.replace(": …", "")
    for part in ("v1 baseline", "requests", "latency", "INCONCLUSIVE"):
        assert part in shown, part


def test_what_is_recorded_and_what_is_made_up_is_said(scene: Scene) -> None:
    """The first lines and the table's caption both say it, with source and licence."""
    for said in ("\n".join(opening(speed=85, brokers="embedded")), " ".join(text_of(scene, 0.0).split())):
        assert "CC-BY-4.0" in said
        assert "Azure LLM" in said
        assert "recorded: arriv" in said.lower()
        assert "synthetic: latency, errors, users and regions, and which version is the canary" in said.lower()


def test_unknown_is_a_dash(scene: Scene) -> None:
    """Before the first request nothing is shown as zero that is not known."""
    assert status_line(scene.releases[0], 0.0).count("- errors -") == 2


def test_the_display_fits_where_the_output_goes() -> None:
    """A live table on a terminal, lines elsewhere, JSON lines when asked for."""
    terminal = Console(file=io.StringIO(), force_terminal=True)
    assert type(display(terminal, as_json=False)) is LiveTable
    assert type(display(terminal, as_json=True)) is JsonLines
    assert type(display(Console(file=io.StringIO()), as_json=False)) is Lines


def test_json_is_all_that_json_prints(scene: Scene, decide: Decide, capsys: pytest.CaptureFixture[str]) -> None:
    """Every line on stdout is a JSON object: decisions, then the summary."""
    show = display(Console(), as_json=True)
    with show:
        show.opening(speed=85, brokers="embedded")
        show.decision(decide("chat", 1, Action.START, State.RAMPING, 50_000))
        show.passing(scene, 10.0)
    show.closing(scene, brokers="embedded", seconds=1.0)
    assert [json.loads(line)["type"] for line in capsys.readouterr().out.splitlines()] == ["decision", "summary"]


def test_lines_come_every_few_seconds(scene: Scene, decide: Decide) -> None:
    """Without a terminal a decision is one line at once, the state of things a line per service every five seconds."""
    out = io.StringIO()
    show = Lines(Console(file=out))
    show.decision(decide("chat", 1, Action.START, State.RAMPING, 50_000))
    for now_s in (1.0, 4.9, 5.0, 5.2, 9.9, 10.1):
        show.passing(scene, now_s)
    lines = out.getvalue().splitlines()
    assert "chat start -> ramping" in lines[0]
    assert [line.split()[0] for line in lines[1:]] == ["5.0", "5.0", "10.1", "10.1"]
