"""Plans: each mistake gets its own message, and what is right is read as it is meant."""

from __future__ import annotations

import pickle

import msgspec
import pytest

from schemas.file_errors import DOCUMENT_BYTES_MAX, FileError
from schemas.plan import EXAMPLE, parse_plan
from schemas.ramp import Exponential, Linear
from schemas.units import Duration, Fraction, Share, encode_hook
from tests.schemas.plan_mistakes import GOOD, MISTAKES, RAMP


def message_of(text: str) -> str:
    with pytest.raises(FileError) as caught:
        parse_plan(text, file="plan.yaml")
    return str(caught.value)


@pytest.mark.parametrize(("right", "wrong", "message"), MISTAKES, ids=[message for _, _, message in MISTAKES])
def test_each_mistake_is_named(right: str, wrong: str, message: str) -> None:
    """One line says file, line, field, what was found and what is allowed."""
    assert GOOD.count(right) >= 1
    assert message_of(GOOD.replace(right, wrong, 1)) == f"plan.yaml:{message}"


def test_each_mistake_has_a_message_of_its_own() -> None:
    """At least forty mistakes, and no two of them read the same."""
    assert len({message for _, _, message in MISTAKES}) == len(MISTAKES) >= 40


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1: the document: found nothing; allowed are fields with values"),
        ("# a comment\n", "1: the document: found nothing; allowed are fields with values"),
        ("[]", "1: the document: found a list; allowed is fields with values"),
        ("chat", "1: the document: found 'chat'; allowed is fields with values"),
        ("a: b: c", "1: the document: not valid YAML: mapping values are not allowed here"),
        ("a:\n\t- b", "2: the document: not valid YAML: found character '\\t' that cannot start any token"),
        ("x" * (DOCUMENT_BYTES_MAX + 1), "1: the document: found 262145 characters; allowed are 262144"),
    ],
)
def test_what_is_no_plan_at_all(text: str, message: str) -> None:
    """Documents that are empty, of another shape or too long are refused before anything is read from them."""
    assert message_of(text) == f"plan.yaml:{message}"


@pytest.mark.parametrize("text", ["\x00", "[" * 5_000, "a: " * 5_000, "? " * 5_000, "\ud800", "&a [*a]", "- ,", "%"])
def test_rubbish_is_a_file_error(text: str) -> None:
    """Nothing but a FileError of one line comes out, whatever goes in."""
    assert "\n" not in message_of(text)


def test_aliases_do_not_unfold() -> None:
    """Ten lines of aliases of aliases would unfold into ten thousand million lists."""
    lines = ["a0: &a0 [x, x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 11))]
    assert message_of("\n".join(lines)).startswith("plan.yaml:2: the document: found the alias *a0")


def test_a_good_plan() -> None:
    """Units are read as written and what is left out has its default."""
    plan = parse_plan(GOOD)
    assert (plan.service, plan.baseline, plan.canaries) == ("chat", "v1", ("v2",))
    assert plan.metrics[0].margin == Fraction(0.005)
    assert [metric.kind for metric in plan.metrics] == ["rate", "mean"]
    assert [metric.tolerated for metric in plan.metrics] == [0.00125, 0.025]
    assert (plan.limits.max_duration, plan.limits.no_data_rollback) == (14_400_000, 900_000)


def test_json_is_a_plan_too() -> None:
    """The plan inside a command is the same document: reading what was written gives the same plan."""
    hours = "  windows: [{from: '22:00', to: '06:00', days: 'fri-mon,wed', zone: Europe/Berlin}]\n"
    for text in (
        GOOD,
        EXAMPLE,
        GOOD.replace(RAMP, hours + RAMP),
        *(GOOD.replace(RAMP, f"  {ramp}\n") for ramp in RAMPS),
    ):
        plan = parse_plan(text)
        assert parse_plan(msgspec.json.encode(plan, enc_hook=encode_hook).decode()) == plan


RAMPS = {
    "{kind: linear, from: 1%, to: 50%, over: 30m}": Linear(
        from_=Share(10_000), to=Share(500_000), over=Duration(1_800_000)
    ),
    "{kind: exponential, from: 0.001%, to: 50%, factor: 2, every: 2m}": Exponential(
        from_=Share(10), to=Share(500_000), factor=2.0, every=Duration(120_000)
    ),
}


@pytest.mark.parametrize("text", RAMPS)
def test_ramps(text: str) -> None:
    """The other ramps are read as they are meant."""
    assert parse_plan(GOOD.replace(RAMP, f"  {text}\n")).ramp == RAMPS[text]


def test_shares_of_several_canaries_leave_something_to_the_baseline() -> None:
    """The weight of a stage is each canary's; together they stay below the whole."""
    three = GOOD.replace("[v2]", "[v2, v3, v4]")
    assert len(parse_plan(three.replace("weight: 5%", "weight: 33.3%")).canaries) == 3
    why = "the canaries together must leave the baseline traffic to compare with"
    found = message_of(three.replace("weight: 5%", "weight: 33.4%"))
    assert found.endswith(f"ramp.steps[1].weight: found 33.4%; allowed is at most 33.3333%: {why}")


def test_an_error_in_a_file_reaches_another_process() -> None:
    """Simulations run in processes of their own, and say from there what is wrong with a scenario."""
    found = FileError(file="plan.yaml", line=3, field="ramp", what="found 3; a list is expected")
    again = pickle.loads(pickle.dumps(found))
    assert (str(again), again.line, again.field) == (str(found), 3, "ramp")
