"""The arrows of import: schemas ◀ detectors ◀ releases ◀ streams; the client stands alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

ALLOWED = {
    "schemas": {"schemas"},
    "detectors": {"schemas", "detectors"},
    "releases": {"schemas", "detectors", "releases"},
    "streams": {"schemas", "detectors", "releases", "streams", "serinus"},
    "clients/python/serinus": {"serinus"},
}
OURS = {"schemas", "detectors", "releases", "streams", "serinus", "tests", "bench", "examples", "deploy"}
IMPURE = {
    "time", "os", "random", "logging", "socket", "asyncio", "datetime", "pathlib", "threading", "subprocess",
    "secrets", "uuid", "sys", "io", "urllib", "http", "structlog", "confluent_kafka", "faust", "aiohttp",
}  # fmt: skip
"""What the pure core may not touch: clocks, chance, the environment, files, the network, logs."""
PURE_EXCEPTIONS = {
    ("releases/release_id.py", "datetime"),
    ("releases/opening_hours.py", "datetime"),
    ("schemas/opening_hours.py", "datetime"),
    ("schemas/ramp.py", "datetime"),
    ("schemas/units.py", "datetime"),
}
"""Reading and formatting a given time is not asking for the time."""
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_imports_follow_the_arrows(package: str) -> None:
    """No package imports one that stands to its right."""
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(package)
        for name in imports(path) & OURS
        if name not in ALLOWED[package]
    }
    assert not wrong


@pytest.mark.parametrize("package", ["schemas", "detectors", "releases"])
def test_the_core_is_pure(package: str) -> None:
    """No clock, randomness, environment, logging or I/O in what decides."""
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(package)
        for name in imports(path) & IMPURE
        if (str(path.relative_to(ROOT)), name) not in PURE_EXCEPTIONS
    }
    assert not wrong


def test_the_client_needs_four_packages_alone() -> None:
    """A service that installs the client gets confluent-kafka, msgspec, mmh3 and semver, none of the pipeline."""
    third_party = {"confluent_kafka", "msgspec", "mmh3", "semver"}
    import sys  # noqa: PLC0415  (the list of the standard library is all that is needed of it)

    for path in modules("clients/python/serinus"):
        foreign = imports(path) - set(sys.stdlib_module_names) - third_party - {"serinus"}
        assert not foreign, f"{path.relative_to(ROOT)} imports {sorted(foreign)}"


def test_every_file_name_says_something() -> None:
    """No utils, helpers, common, misc or manager."""
    for package in ALLOWED:
        for path in modules(package):
            assert path.stem not in NAMES_THAT_SAY_NOTHING, path
