"""HAProxy splits by the rule of docs/splitting.md to the bucket; nginx as widely, whatever the names."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.rule import Rule
from streams.in_force import InForce
from streams.routers.baseline import baseline
from streams.routers.haproxy import HAProxy as Driver
from streams.routers.haproxy_value import value
from streams.routers.nginx import Nginx as NginxDriver
from tests.conftest import ROOT
from tests.routers.backends import Backends
from tests.routers.load import Load, load
from tests.routers.proxies import HAProxy, Nginx

VECTORS: dict[str, Any] = json.loads(
    (ROOT / "clients/python/testdata/splitter_vectors.json").read_text(encoding="utf-8")
)
LEASE_MS = 60_000
BACKENDS = "    # A version without a backend"
ECHO = """    http-request return status 200 content-type application/json lf-string \
'{"answered":"%[var(txn.serinus_version)]","epoch":"%[var(txn.serinus_epoch)]","bucket":"%[var(txn.serinus_bucket)]"}'
"""


class Echo(HAProxy):
    """It answers itself what it would do, for versions that have no backend here."""

    def _example(self, changes: Mapping[str, str]) -> str:
        # One thread: each of them sees a value for itself.
        return super()._example({**changes, BACKENDS: ECHO + BACKENDS, "global\n": "global\n    nbthread 1\n"})


@pytest.fixture
def echo(services: Backends, tmp_path: Path) -> Iterator[tuple[Driver, Load, Echo]]:
    proxy = Echo(tmp_path, services.ports)
    try:
        proxy.start()
        with load(proxy.port) as users:
            yield Driver(proxy.socket, str(proxy.map)), users, proxy
    finally:
        proxy.stop()


def route(**fields: Any) -> InForce:
    return InForce(**{"service": "chat", "weights_ppm": {"v1": 500_000, "v2": 500_000}, "fallback": "v1", **fields})


def test_every_bucket_of_the_vectors(echo: tuple[Driver, Load, Echo]) -> None:
    """Hash and bucket are those of every other router."""
    driver, users, _ = echo
    for vector in VECTORS["buckets"]:
        assert driver.carry_out(route(epoch=3, salt=vector["salt"]), LEASE_MS)
        (answer,) = users.ask([vector["unit"]])
        assert answer.epoch == "3"
        if vector["unit"]:  # without one it is a draw
            assert answer.bucket == str(vector["bucket"]), vector


def test_every_choice_of_the_vectors(echo: tuple[Driver, Load, Echo]) -> None:
    """Ranges, several canaries, rules: the version is that of every other router."""
    driver, users, _ = echo
    for vector in VECTORS["routes"]:
        fields = {name: vector[name] for name in ("weights_ppm", "fallback", "salt")}
        assert driver.carry_out(
            route(epoch=3, rules=msgspec.convert(vector.get("rules", ()), tuple[Rule, ...]), **fields), LEASE_MS
        )
        for choice in vector["choices"]:
            (answer,) = users.ask([choice["unit"]], **{"X-Segment": choice["segment"]})
            assert answer.answered == choice["version"], (vector, choice)


def test_haproxy_watches_the_lease_itself(echo: tuple[Driver, Load, Echo]) -> None:
    """By the wall clock, and by the monotonic one if that was set back; what it cannot read opens nothing."""
    driver, users, proxy = echo
    now = route(epoch=3, weights_ppm={"v1": 0, "v2": 1_000_000})
    now_ms = time.time_ns() // 1_000_000

    def answered(text: str) -> str:
        driver._set(text)
        return users.ask(["u"])[0].answered

    assert answered(value(now, until_ms=now_ms + LEASE_MS, lease_ms=LEASE_MS)) == "v2"
    assert answered(value(now, until_ms=now_ms - 1, lease_ms=LEASE_MS)) == "v1"
    short = value(now, until_ms=now_ms + 10 * LEASE_MS, lease_ms=400)
    assert answered(short) == "v2"
    time.sleep(0.6)
    assert answered(short) == "v1"
    assert answered("2/3/9999999999999/60000/v1/s/1000000:v2/") == "", "of a later format: the default backend's"
    assert driver.carry_out(now, LEASE_MS)
    assert answered(value(baseline("chat", "v1"), until_ms=0, lease_ms=0)) == "v1"
    proxy.map.write_text("")


HOSTILE = 'v"2\\ $x; {}|/,:%41é'


def test_names_of_any_kind_stay_names(echo: tuple[Driver, Load, Echo], services: Backends, tmp_path: Path) -> None:
    """Whatever a version, a segment or a salt is called, no configuration comes of it."""
    driver, users, _ = echo
    rules = (Rule(('in"side\\ $y; {}|/,:',), {"v2": 1_000_000}),)
    weights_ppm = {"v1": 0, "v2": 0, HOSTILE: 1_000_000}
    now = route(epoch=3, weights_ppm=weights_ppm, salt=HOSTILE, rules=rules, service=HOSTILE + "\n")
    assert driver.carry_out(now, LEASE_MS)
    driver_of_nginx = NginxDriver((nginx := Nginx(tmp_path, services.ports)).words(), nginx.file, "serinus")
    text = (tmp_path / "nginx.conf").read_text()
    quoted = HOSTILE.replace("\\", "\\\\").replace('"', '\\"')
    (tmp_path / "nginx.conf").write_text(text.replace("default v1; v2 v2;", f'default v1; v2 v2; "{quoted}" v2;'))
    try:
        driver_of_nginx.begin("chat", "v1")
        nginx.start()
        assert driver_of_nginx.carry_out(now, LEASE_MS)
        time.sleep(1.0)
        with load(nginx.port) as others:
            assert {answer.answered for answer in others.ask(["a", "b"])} == {"v2"}
            (inside,) = others.ask(["a"], **{"X-Segment": rules[0].segments[0]})
            assert inside.answered == "v2"
    finally:
        driver_of_nginx.end()
        nginx.stop()
    (answer,) = users.ask(["a"], **{"X-Segment": rules[0].segments[0]})
    assert answer.answered == "v2"
