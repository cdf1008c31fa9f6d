"""Serinus for services and routers: emit one event per answered request, follow the routes of a canary release."""

from __future__ import annotations

from serinus.choice import Choice
from serinus.clocks import Clock
from serinus.emitter import Emitter, EmitterStats
from serinus.request import Request
from serinus.router import Router
from serinus.router_state import RouterState
from serinus.splitter import Split, bucket_of, split_buckets

__all__ = [
    "Choice",
    "Clock",
    "Emitter",
    "EmitterStats",
    "Request",
    "Router",
    "RouterState",
    "Split",
    "bucket_of",
    "split_buckets",
]
