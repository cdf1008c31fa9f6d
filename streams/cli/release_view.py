"""A release for people: one line per decision, and a table of shares, state and evidence."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from releases.wording import delay_text
from schemas.decision import Decision
from schemas.evidence import Delay, Evidence, Verdict
from streams.cli.output import shares

_STYLES = {
    Verdict.PASS: "green",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.NO_DATA: "yellow",
    Verdict.ERROR: "magenta",
    Verdict.FAIL: "bold red",
}
LAST_DECISIONS = 8


def clock(at_ms: int) -> str:
    """Unix ms as UTC time of day.

    >>> clock(1763632800000)
    '10:00:00Z'
    """
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%H:%M:%SZ")


def decision_line(decision: Decision) -> str:
    """One decision as one line."""
    return (
        f"{clock(decision.at_ms)} {decision.service} {decision.action.value} -> {decision.state.value}"
        f" [{shares(decision.weights_ppm)}{_rules(decision)}] {decision.verdict.value}: {decision.reason}"
    )


def _rules(decision: Decision) -> str:
    return "".join(f"; {', '.join(rule.segments)}: {shares(rule.weights_ppm)}" for rule in decision.rules)


def release_table(decisions: list[Decision]) -> RenderableType:
    """The latest decision with its evidence, and the decisions before it.

    Parameters
    ----------
    decisions : of one release, oldest first, at least one.
    """
    latest = decisions[-1]
    head = Text.assemble(
        (f"{latest.service} ", "bold"),
        f"{latest.release_id}  {latest.state.value}  {shares(latest.weights_ppm)}  ",
        (latest.verdict.value, _STYLES[latest.verdict]),
    )
    evidence = Table("metric", "segment", "version", "baseline", "canary", "verdict", "why", expand=True)
    # A hold without evidence of its own says nothing new: the last evidence there was stays in view.
    shown = next((decision.evidence for decision in reversed(decisions) if decision.evidence), ())
    for item in shown:
        evidence.add_row(
            item.metric,
            item.segment or "all",
            item.version,
            _arm(item.baseline, item.n_baseline, item.baseline_delay),
            _arm(item.canary, item.n_canary, item.canary_delay),
            Text(item.verdict.value, _STYLES[item.verdict]),
            item.sentence,
        )
    log = [Text(decision_line(decision), overflow="fold") for decision in decisions[-LAST_DECISIONS:]]
    return Group(head, evidence, *log) if shown else Group(head, *log)


def evidence_line(item: Evidence) -> str:
    """One piece of evidence as one line."""
    where = f" in {item.segment}" if item.segment else ""
    baseline = _arm(item.baseline, item.n_baseline, item.baseline_delay)
    arms = f"{baseline} against {_arm(item.canary, item.n_canary, item.canary_delay)}"
    return f"  {item.metric}{where}, {item.version}: {item.verdict.value}, {arms}: {item.sentence}"


def _arm(estimate: float | None, n: int, delay: Delay | None) -> str:
    shown = f"{'-' if estimate is None else format(estimate, '.4g')} (n={n:,}"
    if delay is not None:
        shown = f"{shown}; half within {delay_text(delay.ms_p50)}, 90 % within {delay_text(delay.ms_p90)}"
    return f"{shown})"
