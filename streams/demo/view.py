"""The demo's live table, and what stands before and after it."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from schemas.decision import State
from schemas.evidence import Verdict
from schemas.units import PPM
from streams.demo.outcome import sentences
from streams.demo.scene import Release, Scene
from streams.demo.service import CASTS
from streams.demo.tally import RECENT_S
from streams.demo.trace import CITATION

_VERDICTS = {
    Verdict.PASS: "green",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.NO_DATA: "yellow",
    Verdict.ERROR: "magenta",
    Verdict.FAIL: "bold red",
}
_STATES = {State.PROMOTED: "bold green", State.ROLLED_BACK: "bold red", State.ABORTED: "magenta"}

SYNTHETIC = "Synthetic: latency, errors, users and regions, and which version is the canary."
NEXT = "Next: your own service, Kafka and plan, in README.md under “Your own service”."


def opening(*, speed: float, brokers: str) -> list[str]:
    """What is about to be seen, and what of it is real."""
    return [
        "Serinus demo: two services release a new version at the same time; Serinus decides from their requests.",
        *(f"  {cast.name}: {cast.story}" for cast in CASTS),
        f"Recorded: arrival times and answer lengths, {CITATION}, one hour {speed:g} times as fast.",
        SYNTHETIC,
        f"Real: the client library, Kafka ({brokers}), ingest, worker; each request goes where the route sends it.",
    ]


def closing(scene: Scene) -> list[str]:
    """What happened, and where to go from here."""
    return [*sentences(scene), NEXT]


def screen(scene: Scene, now_s: float) -> RenderableType:
    """The live picture.

    Parameters
    ----------
    now_s : seconds since the first arrival; 0 before it.
    """
    table = Table(
        title=_title(scene, now_s),
        caption=f"recorded: arrivals, tokens (Azure LLM trace 2023, CC-BY-4.0); {SYNTHETIC.lower()}",
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    # No wider than the 80 columns of a terminal that nobody has enlarged.
    for heading in ("service", "version"):
        table.add_column(heading, no_wrap=True)
    for heading in ("route", f"in {RECENT_S:g} s", "requests", "errors", "latency"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("release", no_wrap=True)
    for release in scene.releases:
        _add_rows(table, release, now_s)
        table.add_section()
    reasons = [Text.assemble((f"{release.name}: ", "bold"), release.reason or "…") for release in scene.releases]
    return Group(table, *reasons)


def status_line(release: Release, now_s: float) -> str:
    """One release as one line, for output that is no terminal."""
    tally, cast = release.service.tally, release.service.cast
    arms = ", ".join(
        f"{version} {tally.requests[version]:,} requests {_rate(tally.error_rate(version))} errors"
        f" {_ms(tally.latency_ms_mean(version))}"
        for version in cast.versions
    )
    state = release.state.value if release.state else "starting"
    verdict = release.verdict.value if release.verdict else "-"
    share = _percent(tally.recent_share(cast.canary, now_s=now_s))
    return f"{now_s:5.1f} s  {cast.name} {state} {verdict}: {cast.canary} gets {share}; {arms}"


def _title(scene: Scene, now_s: float) -> Text:
    if not now_s:
        return Text("starting ingest and worker …", "dim")
    recent = sum(len(release.service.tally.recent(now_s=now_s)) for release in scene.releases)
    events_per_s = recent / min(RECENT_S, now_s)
    return Text.assemble((f"{now_s:.0f} s", "bold"), f"  {events_per_s:,.0f} events/s  {scene.url}/v1/services")


def _add_rows(table: Table, release: Release, now_s: float) -> None:
    tally, cast = release.service.tally, release.service.cast
    verdict = Text(release.verdict.value, _VERDICTS[release.verdict]) if release.verdict else Text("-")
    state = Text(release.state.value.replace("_", " "), _STATES.get(release.state, "")) if release.state else Text("-")
    # The splitter's own view, not what was asked for: this is what the requests follow.
    weights_ppm = release.service.router.state().weights_ppm or {cast.baseline: PPM}
    for version in cast.versions:
        first = version == cast.baseline
        table.add_row(
            Text(cast.name, "bold") if first else "",
            f"{version} {'baseline' if first else 'canary'}",
            _percent(weights_ppm.get(version, 0) / PPM),
            _percent(tally.recent_share(version, now_s=now_s)),
            f"{tally.requests[version]:,}",
            _rate(tally.error_rate(version)),
            _ms(tally.latency_ms_mean(version)),
            state if first else verdict,
        )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}".replace("%", " %")


def _rate(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.1%}".replace("%", " %")


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"
