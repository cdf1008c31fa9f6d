"""What the joint gate has to say, in words: what differs most of several metrics, with numbers."""

from __future__ import annotations

from releases.joint_gate import ENOUGH, Difference, JointGate, JointKnown
from releases.sentence import once_in, quantity
from releases.wording import names_text
from schemas.evidence import Verdict
from schemas.metric import Metric


def joint_sentence(gate: JointGate, known: JointKnown, found: tuple[int, str, Verdict, float], canary: str) -> str:
    """One sentence.

    Parameters
    ----------
    found : row, its segment, verdict, and log evidence.
    """
    row, segment, verdict, log_evidence = found
    if verdict is Verdict.ERROR:
        return f"joint: the evidence of {canary} is not a number"
    if verdict is Verdict.NO_DATA:
        return f"joint: {_missing(gate, known, canary)} yet"
    learning = gate.still_to_learn(known)
    if learning is not None:
        of = f"{learning[0]} of {learning[1]} requests"
        return f"joint: still learning what is usual of {names_text(gate.metrics)} in {gate.baseline}, {of}"
    estimate = gate.estimate(known, row)
    if estimate.canary is None:
        return f"joint: nothing of {canary} is compared with {gate.baseline} yet"
    where = f" in segment {segment}" if segment else ""
    seen = f"{where} after {estimate.n_canary:,} requests of {canary}"
    differs = difference_text(gate.difference(known, row), canary, gate.baseline)
    match verdict:
        case Verdict.FAIL:
            return f"joint: {names_text(gate.metrics)} differ, most of all {differs}{seen}; {once_in(log_evidence)}"
        case Verdict.PASS:
            return f"joint: {names_text(gate.metrics)} differ no more than by chance{seen}, most of all {differs}"
        case Verdict.INCONCLUSIVE:
            return f"joint: {differs}{seen}; it takes {ENOUGH} of each version in this step to judge"


def difference_text(difference: Difference, canary: str, baseline: str) -> str:
    """A difference in words.

    >>> difference_text(Difference(("latency_ms",), 180.0, 212.0, 0.33), "v2", "v1")
    'latency_ms 212 ms (v2) vs 180 ms (v1), +0.33 standard deviations'
    >>> difference_text(Difference(("latency_ms", "values.tokens_out"), 0.7, -0.2, -0.9), "v2", "v1")
    'the correlation of latency_ms and values.tokens_out, -0.20 (v2) vs 0.70 (v1)'
    """
    if len(difference.metrics) == 2:
        pair = f"{difference.canary:.2f} ({canary}) vs {difference.baseline:.2f} ({baseline})"
        return f"the correlation of {names_text(difference.metrics)}, {pair}"
    metric = Metric(difference.metrics[0])
    ours, theirs = quantity(metric, difference.canary), quantity(metric, difference.baseline)
    apart = f"{difference.effect:+.2g} standard deviations"
    return f"{metric.name} {ours} ({canary}) vs {theirs} ({baseline}), {apart}"


def _missing(gate: JointGate, known: JointKnown, canary: str) -> str:
    if known.learned is not None:
        return f"no request that carries {names_text(gate.metrics)} was counted of {canary} and {gate.baseline}"
    for version, count in (
        (gate.baseline, {name: one.n for name, one in known.values.items()}),
        (canary, known.canary_values),
    ):
        missing = tuple(name for name in gate.metrics if not count[name])
        if missing:
            return f"nothing of {names_text(missing)} of {version}"
    return f"nothing of {canary}"
