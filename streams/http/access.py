"""Who may ask and who may give orders over HTTP."""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from streams.http.failed_attempts import FailedAttempts
from streams.http.problem import ProblemError
from streams.http.tokens import Holder, Role, Tokens

OPEN: Final = {"/healthz", "/readyz", "/metrics", "/v1/openapi.json"}
"""What probes and Prometheus ask for: it says nothing about users and changes nothing."""

ACTOR: Final = web.RequestKey("actor", str)

_SCHEME = "bearer "
_log = structlog.stdlib.get_logger("serinus.http")


def access(tokens: Tokens | None, clock: Callable[[], float] = time.monotonic) -> Middleware:
    """The middleware that lets a request in or refuses it.

    With tokens: a viewer's for everything that only tells, an operator's for what changes something. Without: anybody
    may look, and orders are taken from this machine alone.

    Parameters
    ----------
    tokens : of the configuration; None when none are configured.
    clock : monotonic, in seconds.
    """
    attempts = FailedAttempts()

    @web.middleware
    async def allow(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in OPEN:
            return await handler(request)
        needed = Role.VIEWER if request.method in {"GET", "HEAD"} else Role.OPERATOR
        if needed is Role.OPERATOR:
            _same_origin(request)
        if tokens is None:
            if needed is Role.OPERATOR and not _local(request.remote):
                detail = "orders over HTTP from other machines need http_tokens_file; `serinus release` goes by Kafka"
                raise ProblemError(403, "not allowed", detail)
            return await handler(request)
        holder = _known(request, tokens, attempts, clock())
        if holder.role < needed:
            raise ProblemError(403, "not allowed", f"{holder.name} is a viewer; this needs the operator role")
        request[ACTOR] = holder.name
        return await handler(request)

    return allow


def actor_of(request: web.Request, claimed: str) -> str:
    """Who gives an order: the holder of the token, whatever the request says; without tokens what it says."""
    holder: str | None = request.get(ACTOR)
    return claimed if holder is None else holder


def _known(request: web.Request, tokens: Tokens, attempts: FailedAttempts, now_s: float) -> Holder:
    address = request.remote or "unknown"
    wait_s = attempts.wait_s(address, now_s=now_s)
    if wait_s > 0:
        raise ProblemError(429, "too many wrong tokens", f"ask again in {math.ceil(wait_s)} s")
    given = request.headers.get("Authorization", "")
    if not given.lower().startswith(_SCHEME):
        raise ProblemError(401, "token needed", "send `Authorization: Bearer TOKEN`")
    holder = tokens.holder(given[len(_SCHEME) :].strip())
    if holder is None:
        attempts.failed(address, now_s=now_s)
        _log.warning("a wrong token", address=address, method=request.method, path=request.path)
        raise ProblemError(401, "wrong token", "this token is not known here")
    return holder


def _same_origin(request: web.Request) -> None:
    """A page of another site must not give orders through the browser of somebody who may."""
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        raise ProblemError(403, "not allowed", "orders from pages of another site are refused")


def _local(remote: str | None) -> bool:
    try:
        return ipaddress.ip_address(remote or "").is_loopback
    except ValueError:
        return False
