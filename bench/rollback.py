"""From a rollback to the last request that the canary is sent, by kind of router: `python -m bench.rollback`.

A real broker, a real proxy with the configuration of `deploy/`, two HTTP services, users on open connections. Again and
again a route gives the canary half of them, and another one takes it all back. The time is from the moment at which
that one is handed to the producer to the last request that came to the canary.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bench.ingest import RESULTS, broker
from serinus import Router
from tests.e2e.audit import settings_of
from tests.e2e.pipeline import Pipeline, pipeline, wait_for
from tests.routers.backends import Backends, backends
from tests.routers.control import Control
from tests.routers.load import Tally, load
from tests.routers.proxies import PROXIES, Proxy
from tests.routers.rig import Rig

KINDS = ("client library", "HAProxy", "nginx")
LIMIT_MS = 1_000
QUIET_S = 1.5
"""A canary that had no request for so long has had its last."""
WAIT_S = 30.0


@contextmanager
def routed(kind: str, running: Pipeline, services: Backends, *, per_s: float) -> Iterator[tuple[Control, Tally]]:
    """A router of a kind under load."""
    with ExitStack() as stack:
        if kind == "client library":
            control = Control(settings_of(running))
            stack.callback(control.close)
            router = Router(service="chat", fallback="v1", brokers=running.brokers, topic_prefix=running.prefix)
            stack.callback(router.close)
            users = stack.enter_context(load(lambda unit: services.ports[router.choose(unit)]))
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            folder.chmod(0o755)  # for nginx' workers
            proxy: Proxy = PROXIES[kind.lower()](folder, services.ports)
            stack.callback(proxy.stop)
            users = stack.enter_context(load(proxy.port))
            control = stack.enter_context(Rig(running, proxy, users)).control
        yield control, stack.enter_context(users.steady(per_s=per_s))


def rollbacks_ms(control: Control, services: Backends, *, count: int, rng: random.Random) -> list[float]:
    """The time of each."""
    found = []
    for _ in range(count):
        opened_s = control.publish(500_000)
        wait_for(lambda began_s=opened_s: services.last_s["v2"] > began_s, WAIT_S, what="the canary is asked")  # type: ignore[misc]
        time.sleep(rng.random())  # so that no period of anybody's polling is met at the same point each time
        began_s = control.publish(0)
        wait_for(lambda: time.monotonic() - max(services.last_s["v2"], began_s) > QUIET_S, WAIT_S, what="quiet")  # noqa: B023
        found.append(max(0.0, services.last_s["v2"] - began_s) * 1000)
    return found


def row(kind: str, found_ms: Sequence[float], tally: Tally) -> dict[str, Any]:
    """What the table shows."""
    median, p99 = np.quantile(found_ms, [0.5, 0.99])
    return {
        "router": kind,
        "rollbacks": len(found_ms),
        "median_ms": round(float(median)),
        "p99_ms": round(float(p99)),
        "max_ms": round(max(found_ms)),
        "requests": tally.requests,
        "failed": len(tally.failures),
        "resent": tally.resent,
    }


def rollback_table(found: dict[str, Any]) -> str:
    """Milliseconds by router."""
    lines = [
        "| router | rollbacks | median | p99 | longest | requests | failed | sent again |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one['router']} | {one['rollbacks']} | {one['median_ms']} ms | {one['p99_ms']} ms | {one['max_ms']} ms "
        f"| {one['requests']:,} | {one['failed']} | {one['resent']} |"
        for one in found["rows"]
    ]
    return "\n".join([*lines, "", f"{found['per_s']:g} requests a second; half of the users on the canary."])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--brokers")
    parser.add_argument("--rollbacks", type=int, default=100, help="by each router")
    parser.add_argument("--per-s", type=float, default=200.0)
    parser.add_argument("--routers", nargs="*", choices=KINDS, default=list(KINDS))
    asked = parser.parse_args()
    rows = []
    with broker(asked.brokers) as brokers, tempfile.TemporaryDirectory() as folder:
        for kind in asked.routers:
            prefix = f"bench-{uuid.uuid4().hex[:8]}."
            with (
                pipeline(brokers, prefix, Path(folder)) as running,
                backends("v1", "v2") as services,
                routed(kind, running, services, per_s=asked.per_s) as (control, tally),
            ):
                found_ms = rollbacks_ms(control, services, count=asked.rollbacks, rng=random.Random(1))
            rows.append(row(kind, found_ms, tally))
            print(json.dumps(rows[-1]), flush=True)
    if len(rows) == len(KINDS):
        RESULTS.mkdir(parents=True, exist_ok=True)
        result = {"per_s": asked.per_s, "rows": rows}
        (RESULTS / "rollback.json").write_text(json.dumps(result, indent=1) + "\n")
    return any(one["p99_ms"] > LIMIT_MS or one["failed"] for one in rows)


if __name__ == "__main__":
    raise SystemExit(main())
