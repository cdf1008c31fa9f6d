"""Errors as RFC 9457 problem documents."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
import structlog
from aiohttp import web

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_S = 2
TOKEN_RETRY_AFTER_S = 60

_HEADERS = {
    401: {"WWW-Authenticate": "Bearer"},
    429: {"Retry-After": str(TOKEN_RETRY_AFTER_S)},
    503: {"Retry-After": str(RETRY_AFTER_S)},
}

_log = structlog.stdlib.get_logger("serinus.http")
_encode = msgspec.json.Encoder().encode

Next = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ProblemError(Exception):
    """Becomes the answer to a request.

    Parameters
    ----------
    status : HTTP status.
    title : what kind of problem, the same for all of its kind.
    detail : what is wrong with this request, and what is allowed.
    fields : further members of the document.
    """

    def __init__(self, status: int, title: str, detail: str, **fields: object) -> None:
        super().__init__(f"{title}: {detail}")
        self.status, self.title, self.detail, self.fields = status, title, detail, fields


def wrong_parameter(name: str, found: str, allowed: str) -> ProblemError:
    """A query parameter is not what it may be."""
    return ProblemError(400, "wrong parameter", f"{name}: found {found!r}; allowed is {allowed}", parameter=name)


def unknown_service(service: str) -> ProblemError:
    """Nothing was ever heard of a service."""
    return ProblemError(404, "unknown service", f"no event and no release of {service!r} was seen", service=service)


def unsettled(detail: str) -> ProblemError:
    """Partitions are being distributed, or restored."""
    return ProblemError(503, "not settled", detail)


def answer(problem: ProblemError, instance: str, **headers: str) -> web.Response:
    """The document that is sent, with ``headers`` beside those of its status."""
    document = {
        "type": "about:blank",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": instance,
        **problem.fields,
    }
    headers = _HEADERS.get(problem.status, {}) | headers
    return web.Response(status=problem.status, body=_encode(document), content_type=CONTENT_TYPE, headers=headers)


@web.middleware
async def problems(request: web.Request, handler: Next) -> web.StreamResponse:
    """Turn whatever goes wrong into a problem document."""
    try:
        return await handler(request)
    except ProblemError as problem:
        return answer(problem, request.path)
    except web.HTTPException as error:
        # With 405 goes which methods there are.
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return answer(ProblemError(error.status, error.reason, error.text or error.reason), request.path, **allow)
    except ConnectionResetError:
        # Whoever asked has gone: nobody is there to be told, and nothing is wrong here.
        return web.Response(status=499, reason="the client has gone")
    except Exception:
        _log.exception("a request failed", method=request.method, path=request.path)
        detail = "a defect of ours; the log of the worker has the details"
        return answer(ProblemError(500, "internal error", detail), request.path)
