"""What a proxy refuses, and drivers and proxies that are not there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from schemas.rule import Rule
from streams.in_force import InForce
from streams.routers.baseline import baseline
from streams.routers.haproxy import HAProxy
from streams.routers.nginx import Nginx
from streams.routers.nginx_file import configuration
from tests.e2e.pipeline import wait_for

NOW = InForce("chat", {"v1": 500_000, "v2": 500_000}, "v1", epoch=7, salt="s")
BACK = configuration(baseline("chat", "v1"))


def nginx(folder: Path, *, refuses: str = "") -> Nginx:
    """A stand-in that notes how it was called and refuses a file that holds a text."""
    (folder / "nginx.py").write_text(
        f"import pathlib, sys\n"
        f"text = pathlib.Path({str(folder / 'chat.conf')!r}).read_text()\n"
        f"with open({str(folder / 'calls')!r}, 'a') as calls: print(sys.argv[1:], 'v2' in text, file=calls)\n"
        f"sys.exit('refused' if {refuses!r} and {refuses!r} in text else 0)\n"
    )
    return Nginx([sys.executable, str(folder / "nginx.py")], folder / "chat.conf", "serinus")


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


def test_what_nginx_refuses_becomes_the_baseline(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It is checked before it is read; the route before is over, so the baseline takes its place."""
    driver = nginx(tmp_path, refuses="v2")
    driver.begin("chat", "v1")
    assert calls(tmp_path) == ["['-t', '-q'] False", "['-s', 'reload'] False"]
    assert not driver.carry_out(NOW, 30_000)
    assert calls(tmp_path)[2:] == ["['-t', '-q'] True", "['-t', '-q'] False", "['-s', 'reload'] False"]
    assert (tmp_path / "chat.conf").read_text() == BACK
    assert not driver.carry_out(NOW, 30_000)
    assert capfd.readouterr().err.count("refused; trying again") == 1, "said once"
    driver.end()


def test_the_watchdog_acts_when_nobody_speaks_any_more(tmp_path: Path) -> None:
    """At the end of the lease that it was told last, once, and when the driver is gone; a dead one is replaced."""
    driver = nginx(tmp_path)
    assert driver.carry_out(NOW, 700)
    assert driver.keep(NOW, 700)
    wait_for(lambda: (tmp_path / "chat.conf").read_text() == BACK, 20, what="the lease's end")
    assert not driver.keep(NOW, 60_000), "the file is not what was written last"
    assert driver.carry_out(NOW, 60_000)
    process = driver._watchdog._process
    assert process is not None
    process.kill()
    process.wait()
    assert driver.keep(NOW, 60_000)
    driver.end()
    assert (tmp_path / "chat.conf").read_text() == BACK


def test_the_map_is_written_for_a_renewal_and_for_nothing_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked after twice a second; the same end of the same lease is the same value."""
    driver, file = HAProxy(tmp_path / "api.sock", str(tmp_path / "chat.map")), tmp_path / "chat.map"

    def looked(at_ms: int, lease_ms: int) -> str:
        monkeypatch.setattr("streams.routers.haproxy.time.time_ns", lambda: at_ms * 1_000_000)
        driver.keep(NOW, lease_ms)
        return file.read_text()

    assert looked(1_000, 30_000) == looked(1_500, 29_501) == looked(2_000, 28_999)
    assert looked(2_500, 30_000).startswith("route 1/7/32500/30000/")


def test_haproxy_that_is_not_there_finds_the_route_in_its_file(tmp_path: Path) -> None:
    """No socket is a failure to be tried again, but the file is written."""
    driver = HAProxy(tmp_path / "api.sock", str(tmp_path / "chat.map"))
    assert not driver.carry_out(NOW, 30_000)
    assert (tmp_path / "chat.map").read_text().startswith("route 1/7/")


def test_a_route_too_long_for_haproxy_is_the_baseline(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Better nobody than a route that is cut."""
    rules = tuple(Rule((f"{number}-" + "x" * 250,), {"v2": number}) for number in range(64))
    driver = HAProxy(tmp_path / "api.sock", str(tmp_path / "chat.map"))
    assert not driver.carry_out(InForce("chat", NOW.weights_ppm, "v1", epoch=7, rules=rules), 30_000)
    assert (tmp_path / "chat.map").read_text() == "route 1//0/0/v1//1000000:v1/\n"
    assert "everybody is on v1" in capfd.readouterr().err
