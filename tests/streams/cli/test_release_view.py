from __future__ import annotations

import msgspec
from rich.console import Console

from schemas.decision import Action, State
from schemas.evidence import Delay, Evidence, Verdict
from streams.cli.release_view import LAST_DECISIONS, evidence_line, release_table
from tests.streams.cli.conftest import decision

EVIDENCE = Evidence(
    metric="error_rate",
    segment="asia",
    version="v2",
    detector="evalue-2x2",
    detector_version=1,
    role="gate",
    verdict=Verdict.FAIL,
    n_baseline=9120,
    n_canary=480,
    sentence="error rate 4.9 % against 1.0 %",
    baseline=0.0101,
    canary=None,
)


def rendered(*epochs: int) -> str:
    made = [decision(epoch) for epoch in epochs]
    made[0] = msgspec.structs.replace(made[0], evidence=(EVIDENCE,))
    plain = Console(width=160, color_system=None)
    with plain.capture() as text:
        plain.print(release_table(made))
    return text.get()


def test_the_table_shows_weights_state_verdict_and_evidence_of_both_arms() -> None:
    """Everything a person needs to judge the judgement is on one screen, also after decisions without evidence."""
    text = rendered(1, 2)
    for shown in ("chat", "chat-1", "ramping", "v1 95%, v2 5%", "PASS", "error_rate", "asia", "FAIL"):
        assert shown in text
    assert "0.0101 (n=9,120)" in text and "- (n=480)" in text
    assert "error rate 4.9 % against 1.0 %" in text


def test_the_table_stays_small() -> None:
    """A release of many decisions does not push the evidence off the screen."""
    text = rendered(*range(1, 50))
    assert text.count("reason ") == LAST_DECISIONS
    assert "reason 49" in text


def test_a_first_decision_without_evidence_has_no_empty_table() -> None:
    """Before any evidence there is no table of it."""
    plain = Console(width=120, color_system=None)
    with plain.capture() as text:
        plain.print(release_table([decision(1, Action.START, State.RAMPING)]))
    assert "metric" not in text.get()


def test_the_delay_of_feedback_stands_beside_its_version() -> None:
    """Half and nine tenths of the feedback, for each version that says it; nothing for one that does not."""
    rated = msgspec.structs.replace(EVIDENCE, canary=4.1, canary_delay=Delay(37, ms_p50=301_000.0, ms_p90=725_000.0))
    assert "FAIL, 0.0101 (n=9,120) against 4.1 (n=480; half within 5.0 min, 90 % within 12 min):" in evidence_line(
        rated
    )
    both = msgspec.structs.replace(rated, baseline_delay=Delay(90, ms_p50=42_000.0, ms_p90=90_000.0))
    assert "0.0101 (n=9,120; half within 42 s, 90 % within 90 s) against" in evidence_line(both)
    plain = Console(width=250, color_system=None)
    with plain.capture() as text:
        plain.print(release_table([msgspec.structs.replace(decision(1), evidence=(both,))]))
    assert "within 42 s" in text.get() and "within 12 min" in text.get()


def test_evidence_is_one_line_with_both_arms() -> None:
    """On no terminal the same facts are one line each."""
    assert evidence_line(EVIDENCE) == (
        "  error_rate in asia, v2: FAIL, 0.0101 (n=9,120) against - (n=480): error rate 4.9 % against 1.0 %"
    )
