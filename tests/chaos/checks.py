"""What must hold when all is quiet again: counts, epochs, shares, reasons."""

from __future__ import annotations

import re
import time
from collections import Counter

from schemas.decision import Action, Decision, State
from schemas.report import PANE_MS
from schemas.route import Route
from tests.chaos.load import Key, Load
from tests.chaos.monitor import Monitor
from tests.e2e.audit import decisions, routes
from tests.e2e.pipeline import Pipeline, Worker, wait_for

_AT_REST_S = 3.0
_BY_EVIDENCE = {Action.ADVANCE, Action.ROLLBACK, Action.PROMOTE}


def check_counts(running: Pipeline, worker: Worker, load: Load, *, began_ms: int) -> int:
    """Wait until everything acknowledged is counted, and for more that must not come; returns how many events it was.

    Each event that was acknowledged counts once; one whose fate is unknown at most once. All of it per service,
    version, segment and pane.
    """
    services = sorted(load.canaries)
    wait_for(
        lambda: all(worker.counted(service) >= load.total(service) for service in services),
        90,
        what=f"all counted: {[(s, worker.counted(s), load.total(s)) for s in services]}",
        dump=running.logs,
    )
    time.sleep(_AT_REST_S)
    found: Counter[Key] = Counter()
    for service in services:
        found.update(_by_pane(worker, service, began_ms))
    wrong = {
        key: (found[key], load.acknowledged[key], load.unknown[key])
        for key in found.keys() | load.acknowledged.keys()
        if not load.acknowledged[key] <= found[key] <= load.acknowledged[key] + load.unknown[key]
    }
    assert not wrong, f"counted, acknowledged, unknown: {dict(sorted(wrong.items())[:20])}\n{running.logs()}"
    return found.total()


def _by_pane(worker: Worker, service: str, began_ms: int) -> Counter[Key]:
    found: Counter[Key] = Counter()
    for row in worker.panes(service, began_ms - PANE_MS):
        found[Key(service, row["version"], row["segment"], row["start_ms"] // PANE_MS)] += row["n"]
    return found


def check_routes(running: Pipeline, service: str) -> int:
    """Epochs grow, an epoch is one route and its renewals, and no rollback is taken back; returns the repeats.

    A worker that was killed between two writes publishes again what it had published, and one that was stopped may
    publish late: both only repeat what stands there, and routers drop it.
    """
    newest: tuple[int, int] = (-1, -1)
    content: dict[int, Route] = {}
    rolled_back: set[str] = set()
    repeats = 0
    for route, _ in routes(running, service):
        known = content.setdefault(route.epoch, route)
        same = (known.release_id, known.state, known.weights_ppm, known.rules)
        assert same == (route.release_id, route.state, route.weights_ppm, route.rules), (known, route)
        if (route.epoch, route.issued_at_ms) <= newest:
            assert known is not route, f"epoch {route.epoch} appears only after {newest}: {route}"
            repeats += 1
            continue
        newest = (route.epoch, route.issued_at_ms)
        canary_ppm = route.weights_ppm.get("v2", 0)
        assert not (route.release_id in rolled_back and canary_ppm), f"traffic after a rollback: {route}"
        if route.state is State.ROLLED_BACK:
            rolled_back.add(route.release_id)
    return repeats


def check_decisions(running: Pipeline, service: str) -> list[Decision]:
    """Every decision has a reason; one by evidence names numbers, and shows the evidence that it follows from."""
    made = decisions(running, service)
    epochs = [decision.epoch for decision in made]
    assert len(set(epochs)) == len(epochs), f"two decisions under one epoch: {epochs}"
    for decision in made:
        assert decision.reason, decision
        if decision.actor == "serinus" and decision.action in _BY_EVIDENCE:
            assert re.search(r"\d", decision.reason), decision
            assert decision.through, decision
            assert any(row.sentence and row.n_baseline + row.n_canary > 0 for row in decision.evidence), decision
    return made


def wait_judged(monitor: Monitor, sent: Counter[tuple[str, str]], timeout_s: float, running: Pipeline) -> float:
    """Wait until requests count that were sent later than ``sent``, of everything; returns when (monotonic)."""
    wait_for(lambda: monitor.resumed_s(sent) is not None, timeout_s, what="counting goes on", dump=running.logs)
    resumed_s = monitor.resumed_s(sent)
    assert resumed_s is not None
    return resumed_s
