"""What the worker says of a release right now, between two decisions: asked over its HTTP, like any operator would."""

from __future__ import annotations

from http.client import HTTPException
from urllib.request import urlopen

import msgspec

from schemas.evidence import Verdict
from streams.demo.scene import Release

TIMEOUT_S = 0.5


class _Answer(msgspec.Struct):
    state: str | None = None
    verdict: Verdict | None = None
    reason: str | None = None


def ask(url: str, release: Release) -> None:
    """Bring the verdict and its reason up to date. A worker that does not answer in time leaves them as they are."""
    if not release.started or release.final:
        return
    try:
        with urlopen(f"{url}/v1/services/{release.name}/release", timeout=TIMEOUT_S) as response:
            said = msgspec.json.decode(response.read(), type=_Answer)
    except (OSError, HTTPException, msgspec.DecodeError):
        return
    if said.verdict is not None and said.reason:
        release.verdict, release.reason = said.verdict, said.reason
