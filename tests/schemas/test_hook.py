"""Hooks in a plan: what they say, and each mistake."""

from __future__ import annotations

import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.decision import Action
from schemas.file_errors import FileError, RuleError
from schemas.hook import HOOKS_MAX, Hook, Occasion, check_url
from schemas.plan import EXAMPLE, parse_plan


def message_of(hooks: str) -> str:
    with pytest.raises(FileError) as caught:
        parse_plan(f"{EXAMPLE}hooks: {hooks}", file="plan.yaml")
    return str(caught.value).split(": ", 1)[1]


def test_occasions_are_the_actions() -> None:
    """A plan can name every action that a decision can have, and no other."""
    assert list(get_args(Occasion)) == [action.value for action in Action]


def test_hooks_are_read() -> None:
    """A URL, a name and a command, each with its format."""
    text = (
        "[{when: [rollback], webhook: 'https://hooks.example/a?b=c', format: retrain},"
        " {when: [start, promote], webhook: release-chat, format: slack}, {when: [hold], command: page}]"
    )
    assert parse_plan(f"{EXAMPLE}hooks: {text}").hooks == (
        Hook(("rollback",), webhook="https://hooks.example/a?b=c", format="retrain"),
        Hook(("start", "promote"), webhook="release-chat", format="slack"),
        Hook(("hold",), command="page"),
    )
    assert [hook.url is None for hook in parse_plan(f"{EXAMPLE}hooks: {text}").hooks] == [False, True, True]


NAME = "allowed is a name of up to 64 small letters, digits, dashes and underscores"
ACTIONS = "abort, advance, confirm, hold, lower, pause, promote, resume, rollback, set_weight, start, stop"
MISTAKES = [
    ("[{command: page}]", "hooks[0].when: missing; it is required"),
    ("[{when: [], command: page}]", "hooks[0].when: found nothing; name at least one action, such as rollback"),
    ("[{when: [harm], command: page}]", f"hooks[0].when[0]: found 'harm'; allowed are {ACTIONS}"),
    ("[{when: [hold, hold], command: page}]", "hooks[0].when[1]: found 'hold' twice; allowed once"),
    ("[{when: [hold]}]", "hooks[0]: found neither webhook nor command; allowed is exactly one of them"),
    (
        "[{when: [hold], command: a, webhook: b}]",
        "hooks[0]: found webhook and command; allowed is exactly one of them",
    ),
    ("[{when: [hold], command: /bin/sh}]", f"hooks[0].command: found '/bin/sh'; {NAME}"),
    ("[{when: [hold], command: ''}]", f"hooks[0].command: found ''; {NAME}"),
    (
        "[{when: [hold], webhook: Chat}]",
        "hooks[0].webhook: found 'Chat'; allowed is a URL such as https://hooks.example/serinus, or "
        + NAME.removeprefix("allowed is "),
    ),
    (
        "[{when: [hold], webhook: 'ftp://h/'}]",
        "hooks[0].webhook: found 'ftp://h/'; allowed is http:// or https://",
    ),
    (
        "[{when: [hold], webhook: 'https://ann:secret@h/'}]",
        "hooks[0].webhook: found a user in the URL; allowed is none, since everybody who sees the audit reads it",
    ),
    (
        "[{when: [hold], webhook: 'https://h:70000/'}]",
        "hooks[0].webhook: found 'https://h:70000/'; allowed is a URL of host, port, path and query, the rest as %XX",
    ),
    (
        "[{when: [hold], webhook: 'https://h/a/../b'}]",
        "hooks[0].webhook: found a path with dots or encoded slashes; allowed is where it leads to",
    ),
    (
        f"[{{when: [hold], webhook: 'https://h/{'a' * 2_048}'}}]",
        "hooks[0].webhook: found 2058 characters; allowed are 2048",
    ),
    (
        "[{when: [hold], command: a}, {when: [start], command: a}]",
        "hooks[1]: found the target and format of hooks[0] again; put both into one",
    ),
    (
        "[{when: [start], command: a, format: retrain}]",
        "hooks[0].when[0]: found 'start' for retrain; allowed are hold, rollback, stop",
    ),
    (
        "[{when: [start], command: a, format: alertmanager}]",
        "hooks[0].when[0]: found 'start' for alertmanager; no alert begins or ends with it",
    ),
    (
        "[{when: [hold], command: a, format: teams}]",
        "hooks[0].format: found 'teams'; allowed are alertmanager, decision, retrain, slack",
    ),
    (
        "[{when: [hold], run: a}]",
        "hooks[0].run: unknown field; allowed are when, webhook, command, format",
    ),
    (
        f"[{', '.join(f'{{when: [hold], command: c{i}}}' for i in range(HOOKS_MAX + 1))}]",
        f"hooks: found {HOOKS_MAX + 1} hooks; allowed are {HOOKS_MAX}",
    ),
]


@pytest.mark.parametrize(("hooks", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_each_mistake_is_named(hooks: str, message: str) -> None:
    """One line says field, what was found and what is allowed."""
    assert message_of(hooks) == message


@pytest.mark.parametrize(
    "url",
    [
        "http://h\\@evil/", "http://h/%2e%2e/b", "http://h/.%2E/b", "http://h/a%2fb", "http://h/a%5Cb", "http://h/a b",
        "http://h/#x", "http://h/\n", "http://h/ä", "http:///a", "http://-h/", "http://h:/", "http://h/%zz", "HTTP://h/",
        "http://h/a/..", "http://h/.?x", "http://a@b/", "http://[::1", "http://h/a\x00", "//h/a", "http://h?a#b",
    ],
)  # fmt: skip
def test_urls_that_could_be_read_in_two_ways_are_refused(url: str) -> None:
    """What one parser takes for the host, another takes for a user: such tricks never come as far as a parser."""
    with pytest.raises(RuleError):
        check_url("$", url)


@pytest.mark.parametrize(
    "url",
    [
        "http://h", "https://h:8443/a/b/?c=d&e=%2F..", "http://[::1]:9093/api/v2/alerts", "http://alert_manager/a.b/...",
        "https://h/a//b", "https://h/?next=http://x/..",
    ],
)  # fmt: skip
def test_plain_urls_pass(url: str) -> None:
    """Ports, IPv6, queries, dots within names."""
    check_url("$", url)


@given(st.from_regex(re.compile(r"https?://.{0,40}", re.DOTALL), fullmatch=True))
def test_nothing_but_a_rule_error_comes_out(url: str) -> None:
    """Whatever stands in a plan, or on the topic."""
    try:
        check_url("$", url)
    except RuleError:
        return
    assert url.isascii() and url.isprintable() and " " not in url and "@" not in url.split("/")[2]
