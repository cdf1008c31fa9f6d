"""An HTTP service that asks the Router for every request and emits an event for every answer.

    python -m examples.chat_service.service --port 8000 --brokers 127.0.0.1:9092

POST /chat {"user": "u1", "prompt": "…", "segment": "eu"} answers; POST /feedback {"user": "u1", "rating": 4, …} rates,
with the "version" and the "answered_ms" that stood in the answer; GET /healthz shows the state of Router and Emitter.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from dataclasses import asdict

from aiohttp import web

from examples.chat_service.models import FakeModel, ModelError
from serinus import Emitter, Router

ROUTER = web.AppKey("router", Router)
EMITTER = web.AppKey("emitter", Emitter)
MODELS = web.AppKey("models", dict[str, FakeModel])


async def chat(request: web.Request) -> web.Response:
    """Answer one prompt with the version that the router chooses for its user."""
    try:
        body = await request.json()
        user, prompt, segment = (str(body.get(name, "")) for name in ("user", "prompt", "segment"))
    except (AttributeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise web.HTTPBadRequest(text=f'expected {{"user": …, "prompt": …}}: {error}\n') from error
    choice = request.app[ROUTER].route(user, segment=segment)
    model = request.app[MODELS].get(choice.version)
    if model is None:
        raise web.HTTPServiceUnavailable(text=f"version {choice.version} is not deployed here\n")
    try:
        async with request.app[EMITTER].request(
            version=choice.version, segment=segment, unit=user, epoch=choice.epoch, bucket=choice.bucket
        ) as event:
            answer = await model.answer(prompt)
            event.values["tokens_out"] = answer.tokens_out
            event.labels["finish_reason"] = answer.finish_reason
    except ModelError as error:
        return web.json_response({"version": choice.version, "error": str(error)}, status=500)
    return web.json_response({"version": choice.version, "answered_ms": _now_ms(), "text": answer.text})


async def feedback(request: web.Request) -> web.Response:
    """Count a rating to the version that gave the answer, with the time that it took to come."""
    try:
        body = await request.json()
        user, version, segment = (str(body.get(name, "")) for name in ("user", "version", "segment"))
        rating, answered_ms = float(body["rating"]), float(body["answered_ms"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        expected = '{"user": …, "version": …, "answered_ms": …, "rating": …}'
        raise web.HTTPBadRequest(text=f"expected {expected}: {error!r}\n") from error
    delay_ms = max(0.0, _now_ms() - answered_ms)
    request.app[EMITTER].emit(
        kind="feedback", version=version, latency_ms=delay_ms, values={"rating": rating}, segment=segment, unit=user
    )
    return web.Response(status=202)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def healthz(request: web.Request) -> web.Response:
    """Show the route in force and where the events are; a broker that is down does not make the service unhealthy."""
    state, stats = request.app[ROUTER].state(), request.app[EMITTER].stats()
    return web.json_response({"router": asdict(state), "emitter": asdict(stats)})


def build_app(router: Router, emitter: Emitter, models: list[FakeModel]) -> web.Application:
    """Return the application; it closes router and emitter when it ends."""
    app = web.Application()
    app[ROUTER], app[EMITTER], app[MODELS] = router, emitter, {model.name: model for model in models}
    app.add_routes([web.post("/chat", chat), web.post("/feedback", feedback), web.get("/healthz", healthz)])

    async def close_clients(_: web.Application) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(emitter.close)
        await asyncio.to_thread(router.close)

    app.cleanup_ctx.append(close_clients)
    return app


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="A chat service with a baseline v1 and a canary v2.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--brokers", default=os.environ.get("SERINUS_BROKERS", "127.0.0.1:9092"))
    parser.add_argument("--topic-prefix", default=os.environ.get("SERINUS_TOPIC_PREFIX", ""))
    parser.add_argument("--service", default="chat")
    parser.add_argument("--error-rate", type=float, default=0.01, help="of v1, 0 to 1")
    parser.add_argument("--canary-error-rate", type=float, default=0.01, help="of v2, 0 to 1")
    parser.add_argument("--canary-slowdown", type=float, default=1.0, help="v2 takes so many times as long")
    return parser.parse_args()


def main() -> None:
    """Serve until interrupted."""
    given = parse_arguments()
    clients = {"service": given.service, "brokers": given.brokers, "topic_prefix": given.topic_prefix}
    models = [
        FakeModel("v1", error_rate=given.error_rate),
        FakeModel("v2", latency_ms_median=40.0 * given.canary_slowdown, error_rate=given.canary_error_rate),
    ]
    app = build_app(Router(fallback="v1", **clients), Emitter(**clients), models)
    web.run_app(app, host=given.host, port=given.port, access_log=None)


if __name__ == "__main__":
    main()
