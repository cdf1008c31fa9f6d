"""What the worker says of itself over HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

from streams.doctor.finding import Finding, fine, warning
from streams.settings import Settings

ABOUT = "worker"
_TIMEOUT_S = 3.0


def examine_worker(settings: Settings) -> list[Finding]:
    """The worker's `/readyz`, at the address of these settings."""
    url = f"{settings.advertised_url.rstrip('/')}/readyz"
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S):
            return [fine(ABOUT, f"{url} is ready")]
    except urllib.error.HTTPError as error:
        with error:
            why = _why(error.read())
        return [warning(ABOUT, f"{url}: {one}", "wait some seconds; if it stays, see the worker's log") for one in why]
    except OSError as error:
        reason = getattr(error, "reason", error)
        remedy = "set http_advertised_url to where a worker listens, or ignore this if none runs here"
        return [warning(ABOUT, f"{url} does not answer ({reason})", remedy)]


def _why(body: bytes) -> list[str]:
    try:
        return [str(one) for one in json.loads(body)["why"]] or ["not ready"]
    except (ValueError, KeyError, TypeError):
        return ["not ready, for no reason that it tells"]
