from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from schemas.decision import plan_hash
from schemas.plan import EXAMPLE, Plan, parse_plan
from schemas.units import encode_hook

PLANS = sorted((Path(__file__).parents[2] / "examples" / "plans").glob("*.yaml"))


def test_a_version_that_knows_more_fields_gives_the_same_hash() -> None:
    """Else every plan would look changed after an upgrade, and `apply` would release all of them again."""
    plan = parse_plan(EXAMPLE)
    later = msgspec.defstruct("Later", [("colour", str, "blue")], bases=(Plan,), frozen=True, kw_only=True)
    known = {field: getattr(plan, field) for field in plan.__struct_fields__}
    assert plan_hash(later(**known)) == plan_hash(plan)
    assert plan_hash(later(**known, colour="red")) != plan_hash(plan)


def test_a_default_that_is_written_out_changes_nothing() -> None:
    """At any depth; what is not the default does."""
    plan = plan_hash(parse_plan(EXAMPLE))
    for written in ("alpha: 0.05", "limits: {no_data: {after: 2m}}", "advance: population"):
        assert plan_hash(parse_plan(f"{EXAMPLE}{written}\n")) == plan
    for written in ("alpha: 0.04", "limits: {no_data: {after: 3m}}", "advance: strict"):
        assert plan_hash(parse_plan(f"{EXAMPLE}{written}\n")) != plan


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_the_hash_is_of_the_meaning(path: Path) -> None:
    """What a plan becomes on its way as JSON, which has every default in it, has the hash of the file."""
    plan = parse_plan(path.read_text(encoding="utf-8"))
    assert plan_hash(parse_plan(msgspec.json.encode(plan, enc_hook=encode_hook).decode())) == plan_hash(plan)
