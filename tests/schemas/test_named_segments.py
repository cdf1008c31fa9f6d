"""Named segments of a plan: what is wrong is said with its place."""

from __future__ import annotations

import pytest

from schemas.file_errors import FileError
from schemas.plan import EXAMPLE, parse_plan

GOOD = "{attribute: country, in: [de, fr]}"
LONG = f"{{attribute: x, in: [{', '.join(f'v{number:0>250}' for number in range(10))}]}}"


def plan(segments: str) -> str:
    return EXAMPLE + f"segments: {segments}\n"


def test_all_questions_are_read() -> None:
    """One of each kind, as the documentation writes them."""
    conditions = (
        f"{GOOD}, {{attribute: tier, equals: pro}}, {{attribute: email, prefix: qa-}}, "
        "{attribute: app, version: {from: 2.3.0, below: 3.0.0-rc.1}}, {attribute: tokens, number: {from: 8000}}"
    )
    (segment,) = parse_plan(plan(f"[{{name: new, when: [{conditions}]}}]")).segments
    assert (segment.when[0].in_, segment.when[1].equals, segment.when[2].prefix) == (("de", "fr"), "pro", "qa-")
    assert segment.when[3].version is not None and segment.when[3].version.below == "3.0.0-rc.1"
    assert segment.when[4].number is not None and segment.when[4].number.from_ == 8000.0


@pytest.mark.parametrize(
    ("segments", "said"),
    [
        (f"[{{name: '', when: [{GOOD}]}}]", "segments[0].name: found ''"),
        (f"[{{name: '*', when: [{GOOD}]}}]", "segments[0].name: found '*'"),
        (f"[{{name: a, when: [{GOOD}]}}, {{name: a, when: [{GOOD}]}}]", "segments[1].name: found 'a' twice"),
        ("[{name: a, when: []}]", "found 0 conditions; allowed are 1 to 8"),
        ("[{name: a, when: [{attribute: x}]}]", "found no question; allowed is exactly one of"),
        ("[{name: a, when: [{attribute: x, equals: y, prefix: z}]}]", "found equals and prefix"),
        ("[{name: a, when: [{attribute: x, matches: y}]}]", "matches"),
        ("[{name: a, when: [{attribute: '', equals: y}]}]", "attribute: found 0 characters"),
        ("[{name: a, when: [{attribute: x, in: []}]}]", "found 0 values; allowed are 1 to 64"),
        ("[{name: a, when: [{attribute: x, prefix: ''}]}]", "prefix: found ''"),
        ("[{name: a, when: [{attribute: x, version: {}}]}]", "version: found no bound"),
        ("[{name: a, when: [{attribute: x, version: {from: v2}}]}]", "version.from: found 'v2'"),
        ("[{name: a, when: [{attribute: x, version: {from: 3.0.0, below: 3.0.0-rc.1}}]}]", "more than from (3.0.0)"),
        ("[{name: a, when: [{attribute: x, number: {from: 2, below: 2}}]}]", "more than from (2.0)"),
        ("[{name: a, when: [{attribute: x, number: {from: .inf}}]}]", "number.from"),
        (f"[{', '.join(f'{{name: s{n}, when: [{GOOD}]}}' for n in range(17))}]", "found 17 named segments"),
        (f"[{', '.join(f'{{name: s{n}, when: [{LONG}]}}' for n in range(8))}]", "bytes as JSON; allowed are 16,384"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(segments: str, said: str) -> None:
    """Each rule has its sentence."""
    with pytest.raises(FileError) as raised:
        parse_plan(plan(segments))
    assert said in str(raised.value)
