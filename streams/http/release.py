"""``GET …/release`` and ``…/decisions``: where a release stands, on what evidence, and how it came there."""

from __future__ import annotations

import msgspec
from aiohttp import web

from releases.telling import told
from schemas.decision import Record
from schemas.evidence import Evidence
from schemas.plan import Plan
from schemas.rule import Rule
from streams.http.json_answer import json_answer
from streams.http.problem import unknown_service
from streams.http.worker_view import WorkerView
from streams.worker.partition import Partition


class ReleaseNow(msgspec.Struct, frozen=True):
    """A service's release. All is None when none was ever started; ``stuck`` says why a service is not judged."""

    service: str
    epoch: int = 0
    late_requests: int = 0
    now_ms: int | None = None
    release_id: str | None = None
    state: str | None = None
    weights_ppm: dict[str, int] = {}
    rules: tuple[Rule, ...] = ()
    verdict: str | None = None
    reason: str | None = None
    evidence: tuple[Evidence, ...] = ()
    started_ms: int | None = None
    step_since_ms: int | None = None
    plan: Plan | None = None
    stuck: str | None = None


class DecisionList(msgspec.Struct, frozen=True):
    """The newest decisions and refusals, oldest first."""

    service: str
    decisions: tuple[Record, ...]


def release_now(partition: Partition, service: str) -> ReleaseNow:
    """Where a release stands; raises a 404 problem for a service that nobody has heard of."""
    known, stuck = partition.services.get(service), partition.stuck.get(service)
    if known is None and stuck is None:
        raise unknown_service(service)
    if known is None:
        return ReleaseNow(service, stuck=stuck)
    stored = known.stored
    release, judge = stored.release.release, stored.judge
    if release is None:
        return ReleaseNow(service, late_requests=stored.late, now_ms=stored.now_ms, stuck=stuck)
    if judge is not None:
        release = told(release, judge)
    return ReleaseNow(
        service=service,
        epoch=release.epoch,
        late_requests=stored.late,
        now_ms=stored.now_ms,
        release_id=release.id,
        state=release.state.value,
        weights_ppm=release.everyone_ppm,
        rules=release.rules,
        verdict=release.assessment.verdict.value,
        reason=release.assessment.reason,
        evidence=release.assessment.evidence,
        started_ms=release.started_ms,
        step_since_ms=release.step_since_ms,
        plan=release.plan,
        stuck=stuck,
    )


async def release(_request: web.Request, service: str, partition: Partition) -> web.StreamResponse:
    """The state with its current evidence."""
    return json_answer(release_now(partition, service))


async def decisions(view: WorkerView, _request: web.Request, service: str, partition: Partition) -> web.StreamResponse:
    """The history."""
    if service not in partition.services and service not in partition.stuck:
        raise unknown_service(service)
    return json_answer(DecisionList(service, view.registry.history.of(service)))
