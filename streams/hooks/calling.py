"""One try of a webhook: a POST whose answer counts by its status alone."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

import aiohttp
from yarl import URL

from streams.hooks.delivery import Delivery, Failure
from streams.hooks.signature import HEADER, signature

RETRY_AFTER_S_MAX = 300.0

_AGAIN = {408, 425, 429}
"""Answers below 500 that speak of this moment and not of the request."""


async def call(
    session: aiohttp.ClientSession, url: str, delivery: Delivery, *, keys: Sequence[bytes], timeout_s: float
) -> Failure | None:
    """POST once; None when the target has it.

    Parameters
    ----------
    session : that reads no proxies and no cookies.
    keys : to sign with; none leaves the header out.
    timeout_s : for the whole of it.
    """
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": delivery.key,
        "Serinus-Action": delivery.action,
        "User-Agent": "serinus-hooks",
    }
    if keys:
        headers[HEADER] = signature(delivery.body, keys, at_s=int(time.time()))
    try:
        async with session.post(
            # As it was checked: a URL that is put into another form could lead elsewhere than what was allowed.
            URL(url, encoded=True),
            data=delivery.body,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=timeout_s),
        ) as answer:
            return _failure(answer.status, answer.headers.get("Retry-After", ""))
    except TimeoutError:
        return Failure(f"no answer within {timeout_s:g} s")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Failure(str(error) or type(error).__name__)


def _failure(status: int, retry_after: str) -> Failure | None:
    """What an answer means. A redirection is not followed: it could lead where nobody has allowed it.

    >>> _failure(204, ""), _failure(404, ""), _failure(429, "7")
    (None, Failure(why='answered 404', again=False, after_s=0.0), Failure(why='answered 429', again=True, after_s=7.0))
    """
    if 200 <= status < 300:
        return None
    asked_s = float(retry_after) if re.fullmatch(r"\d{1,9}", retry_after, re.ASCII) else 0.0
    return Failure(
        f"answered {status}", again=status >= 500 or status in _AGAIN, after_s=min(asked_s, RETRY_AFTER_S_MAX)
    )
