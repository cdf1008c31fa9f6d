from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from schemas.plan import EXAMPLE
from streams.cli import cli


def check(*words: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["plan", "check", *words], input=stdin, prog_name="serinus", catch_exceptions=False)


def test_a_good_plan_is_explained(tmp_path: Path) -> None:
    """Each sentence is a line for people, and an entry for programs, who get the plan itself too."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(EXAMPLE)
    plain = check(str(plan), "--rate", "50/s")
    assert plain.exit_code == 0 and "chat" in plain.stdout
    found = json.loads(check(str(plan), "--rate", "50/s", "--json").stdout)
    assert (found["type"], found["service"], found["plan"]["baseline"]) == ("plan", "chat", "v1")
    assert found["sentences"] == plain.stdout.splitlines()


def test_a_rate_adds_the_expected_time(tmp_path: Path) -> None:
    """The same rate in other words is the same rate, and it changes what is said."""
    without, per_second, per_minute = (
        check("-", *words, stdin=EXAMPLE).stdout for words in ([], ["--rate", "50/s"], ["--rate", "3000/min"])
    )
    assert per_second == per_minute != without


@pytest.mark.parametrize("rate", ["50", "0/s", "-1/s", "50/d", "fast"])
def test_a_wrong_rate_is_exit_2(rate: str) -> None:
    """A rate without a unit, or not above zero, is refused with examples."""
    result = check("-", "--rate", rate, stdin=EXAMPLE)
    assert result.exit_code == 2
    assert "allowed is a rate above zero such as 50/s" in result.stderr


def test_a_wrong_plan_is_exit_2_with_file_line_and_field(tmp_path: Path) -> None:
    """One line names file, line, field, what was found and what is allowed."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(EXAMPLE.replace("alpha", "").replace("baseline: v1", "baseline: v2"))
    result = check(str(plan))
    assert result.exit_code == 2
    assert result.stderr.startswith(f"serinus: {plan}:4: canaries[0]:") and result.stderr.count("\n") == 1
    assert result.stdout == ""
