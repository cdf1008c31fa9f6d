"""A real Alertmanager takes what hooks send: alerts begin, and end by their labels."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from schemas.decision import Action, Decision
from streams.hooks.alertmanager import HELD, ROLLED_BACK, alertmanager_body
from streams.hooks.calling import call
from streams.hooks.delivery import Delivery, Failure
from streams.hooks.targets import Webhook
from tests.streams.hooks.decided import decided
from tests.streams.hooks.real_alertmanager import alertmanager

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with alertmanager(tmp_path_factory.mktemp("alertmanager")) as found:
        yield found


def posted(url: str, decision: Decision) -> Failure | None:
    return sent(url, alertmanager_body(decision))


def sent(url: str, body: bytes) -> Failure | None:
    """As `serinus hooks` sends it."""
    target = f"{url}/api/v2/alerts"
    one = Delivery("k", Webhook(target, target), "alertmanager", "hold", body, "", (0, 0), 0.0)

    async def send() -> Failure | None:
        async with aiohttp.ClientSession() as session:
            return await call(session, target, one, keys=(), timeout_s=10)

    return asyncio.run(send())


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.loads(answer.read())


def active(url: str, service: str) -> dict[tuple[str, str], str]:
    """Alert and version to summary, of what Alertmanager holds for active now."""
    found = get(f'{url}/api/v2/alerts?filter=service="{service}"')
    return {
        (alert["labels"]["alertname"], alert["labels"]["version"]): alert["annotations"]["summary"]
        for alert in found
        if alert["status"]["state"] != "suppressed"
    }


def test_a_hold_is_active_until_it_is_resumed(url: str) -> None:
    """And active again with the next hold, under the same labels."""
    assert posted(url, decided(Action.HOLD, service="held", epoch=2, reason="Holding v2 at 5 %.")) is None
    assert active(url, "held") == {(HELD, "v2"): "Holding v2 at 5 %."}
    assert posted(url, decided(Action.RESUME, service="held", epoch=3)) is None
    assert active(url, "held") == {}
    assert posted(url, decided(Action.HOLD, service="held", epoch=4, reason="Holding v2 at 10 %.")) is None
    assert active(url, "held") == {(HELD, "v2"): "Holding v2 at 10 %."}


def test_a_rollback_ends_the_hold_and_pages_for_each_version(url: str) -> None:
    """The hold's alert gives way to that of the rollback."""
    both = ("v2", "v3")
    assert posted(url, decided(Action.HOLD, service="bad", epoch=2, canaries=both)) is None
    assert posted(url, decided(Action.ROLLBACK, service="bad", epoch=3, canaries=both, reason="Rolled back.")) is None
    assert active(url, "bad") == {(ROLLED_BACK, "v2"): "Rolled back.", (ROLLED_BACK, "v3"): "Rolled back."}


def test_a_promotion_that_ends_nothing_is_taken(url: str) -> None:
    """The end of an alert that never was is no error and no alert."""
    assert posted(url, decided(Action.PROMOTE, service="good")) is None
    assert active(url, "good") == {}


def test_it_takes_every_action_and_refuses_what_is_no_alert(url: str) -> None:
    """The API checks types, names and times; what it refuses is a failure that no repetition mends."""
    for action in Action:
        assert posted(url, decided(action, service="any", canaries=("v2", "v3"))) is None
    assert sent(url, b'[{"labels": {"alertname": 5}}]') == Failure("answered 400", again=False)
