"""``/healthz``, ``/readyz`` and ``/metrics``."""

from __future__ import annotations

import time

import msgspec
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from streams.http.json_answer import json_answer
from streams.http.worker_view import WorkerView

STALLED_S = 30.0
"""Ticks arrive every second, so a partition whose inputs stand still for this long is not being worked on."""

QUIET_S = 5.0
"""Without inputs, ticks included, for this long nothing is judged: Kafka does not answer."""

RECOVERY_S = 300.0
"""Assignment and recovery take seconds; a worker that waits this long has lost its way."""


class Health(msgspec.Struct, frozen=True):
    """Whether all is well, and if not, why."""

    ok: bool
    why: list[str]


def liveness(view: WorkerView, now_s: float) -> Health:
    """Alive means that the inputs move on. A process that is merely up would answer too.

    Parameters
    ----------
    now_s : a monotonic clock.
    """
    waits_s = now_s - view.registry.suspended_s
    if not view.registry.ready:
        stuck = waits_s > RECOVERY_S
        return Health(not stuck, [f"no partitions assigned and restored for {waits_s:.0f} s"] if stuck else [])
    stalled = [
        f"partition {number}: no input for {now_s - owned.moved_s:.0f} s"
        for number, owned in view.registry.owned.items()
        if now_s - owned.moved_s > STALLED_S
    ]
    return Health(not stalled, stalled)


def readiness(view: WorkerView, now_s: float) -> Health:
    """Ready means: partitions assigned and restored, caught up, no rebalance, inputs arrive, every service judged.

    Parameters
    ----------
    now_s : a monotonic clock.
    """
    if not view.registry.ready:
        return Health(ok=False, why=["partitions are not assigned and restored yet"])
    why = ["partitions are being distributed anew"] if view.port.rebalancing() else []
    why += ["the worker is stopping"] if view.registry.closing else []
    why += [
        f"partition {number}: still reading what was there at take-over"
        for number, owned in view.registry.owned.items()
        if not owned.partition.caught_up
    ]
    why += [
        f"partition {number}: no input for {now_s - owned.moved_s:.0f} s, not even a tick; does Kafka answer?"
        for number, owned in view.registry.owned.items()
        if now_s - owned.moved_s > QUIET_S
    ]
    why += [f"service {name!r} is not judged: {reason}" for name, reason in sorted(view.registry.stuck().items())]
    return Health(not why, why)


async def healthz(view: WorkerView, _request: web.Request) -> web.StreamResponse:
    """Liveness by progress."""
    health = liveness(view, time.monotonic())
    return json_answer(health, status=200 if health.ok else 503)


async def readyz(view: WorkerView, _request: web.Request) -> web.StreamResponse:
    """Readiness."""
    health = readiness(view, time.monotonic())
    return json_answer(health, status=200 if health.ok else 503)


async def metrics(view: WorkerView, _request: web.Request) -> web.StreamResponse:
    """Prometheus text."""
    return web.Response(body=generate_latest(view.recorder.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
