"""Poisson load for the chat service; prints one JSON line a second and a summary.

python -m examples.chat_service.load --url http://127.0.0.1:8000 --rate 50 --seconds 60
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections import Counter

import aiohttp

SEGMENTS = {"internal": 1, "beta": 2, "public": 7}
MAX_OPEN = 1_000
"""Requests that may be under way; beyond it the load is counted as skipped instead of piling up."""


async def ask(session: aiohttp.ClientSession, url: str, users: int, counts: Counter[str]) -> None:
    """Send one request and count its version and outcome."""
    number = random.randrange(users)
    segment = random.Random(number).choices(list(SEGMENTS), list(SEGMENTS.values()))[0]
    body = {"user": f"user-{number}", "prompt": "How do canaries sing?", "segment": segment}
    try:
        async with session.post(f"{url}/chat", json=body) as response:
            answer = await response.json(content_type=None)
            counts[f"{answer['version']} {'ok' if response.status == 200 else 'failed'}"] += 1
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
        counts[f"unreachable: {type(error).__name__}"] += 1


async def run(url: str, *, rate: float, seconds: float, users: int) -> Counter[str]:
    """Send requests at random times, `rate` a second on average, whether or not earlier ones were answered."""
    counts: Counter[str] = Counter()
    started_s = time.monotonic()
    next_s, shown_s = started_s, started_s
    open_requests: set[asyncio.Task[None]] = set()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        while next_s < started_s + seconds:
            await asyncio.sleep(max(0.0, next_s - time.monotonic()))
            if len(open_requests) < MAX_OPEN:
                task = asyncio.create_task(ask(session, url, users, counts))
                open_requests.add(task)
                task.add_done_callback(open_requests.discard)
            else:
                counts["skipped"] += 1
            next_s += random.expovariate(rate)
            if time.monotonic() - shown_s >= 1:
                shown_s = time.monotonic()
                print(json.dumps({"second": round(shown_s - started_s), **counts}), flush=True)
        await asyncio.gather(*open_requests)
    return counts


def main() -> None:
    """Run the load and print what came back."""
    parser = argparse.ArgumentParser(description="Load for the chat service.")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second, on average")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--users", type=int, default=10_000, help="number of different users")
    given = parser.parse_args()
    if given.rate <= 0 or given.users < 1:
        parser.error("--rate must be > 0 and --users >= 1")
    counts = asyncio.run(run(given.url, rate=given.rate, seconds=given.seconds, users=given.users))
    print(json.dumps({"type": "summary", **counts}))


if __name__ == "__main__":
    main()
