"""JSON answers, with the units of plans as they are written in files."""

from __future__ import annotations

import msgspec
from aiohttp import web

from schemas.units import encode_hook

_encoder = msgspec.json.Encoder(enc_hook=encode_hook)


def json_answer(value: object, *, status: int = 200) -> web.Response:
    """A response with ``value`` as JSON; msgspec's types, plans and evidence included."""
    return web.Response(status=status, body=_encoder.encode(value), content_type="application/json")
