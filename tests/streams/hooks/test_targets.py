"""Plans are data: what they may set off is what the settings of the machine say, and nothing beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from schemas.file_errors import RuleError
from schemas.hook import Hook, check_url
from streams.hooks.allow import allowed, place_of
from streams.hooks.targets import Command, Refused, Webhook, target_of
from streams.settings import SECRET, Settings

PREFIX = "https://hooks.example/serinus"

hosts = st.sampled_from(["hooks.example", "HOOKS.example", "hooks.example.evil", "evil", "10.0.0.1"])
ports = st.sampled_from(["", ":443", ":80", ":8443"])
paths = st.lists(st.sampled_from(["serinus", "serinusx", "a", "", "s", "%73erinus"]), max_size=4).map("/".join)


@pytest.mark.parametrize(
    "url",
    [PREFIX, PREFIX + "/", PREFIX + "/a", PREFIX + "?x=/../", "https://Hooks.Example:443/serinus/a/b"],
)
def test_what_lies_below_a_prefix_is_allowed(url: str) -> None:
    """The prefix itself, below it, with a query, and the same host written otherwise."""
    assert allowed(url, ("http://other", PREFIX))


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/serinus", "https://hooks.example:8443/serinus", "https://hooks.example.evil/serinus",
        "https://evil/https://hooks.example/serinus", "https://hooks.example/serinusx", "https://hooks.example/",
        "https://hooks.example//serinus", "https://hooks.example/%73erinus", "https://hooks.example/Serinus",
        "https://hooks.example?/serinus",
    ],
)  # fmt: skip
def test_what_lies_elsewhere_is_not(url: str) -> None:
    """Another scheme, port, host or path, also one that begins with the same letters."""
    assert not allowed(url, (PREFIX,))
    assert not allowed(url, ())


@given(st.sampled_from(["http", "https"]), hosts, ports, paths)
def test_allowed_means_same_place_and_below(scheme: str, host: str, port: str, path: str) -> None:
    """Whatever is allowed is, literally, the prefix with more path behind it."""
    url = f"{scheme}://{host}{port}/{path}"
    plain = url.lower().replace(":443", "") if scheme == "https" else url.lower()
    below = plain.rstrip("/") == PREFIX or plain.startswith(PREFIX + "/")
    assert allowed(url, (PREFIX,)) == below


@given(st.text("htps:/.?#@%2eab\\", max_size=30))
def test_a_checked_url_is_called_where_it_is_compared(text: str) -> None:
    """The client that calls reads host and port of a URL as the comparison does."""
    try:
        check_url("$", f"http://{text}")
    except RuleError:
        return
    url = URL(f"http://{text}", encoded=True)
    place = place_of(str(url))
    assert (url.host or "", url.port) == (place.host, place.port)
    # A path that is empty is a slash, and a query that is empty none; nothing else is put into another form.
    path, _, query = text.removeprefix(url.raw_authority).partition("?")
    assert (url.raw_path, url.raw_query_string) == (path or "/", query)


def test_a_plan_names_and_the_settings_say() -> None:
    """Names lead to what the settings say, and to nothing when they say nothing."""
    settings = Settings(
        hooks_allow=f"http://alertmanager:9093/api,{PREFIX}",
        hooks_webhooks={"chat": "https://hooks.slack.com/services/T/B/X"},
        hooks_commands={"page": ["/usr/bin/page", "--now"]},
    )
    assert target_of(Hook(("hold",), webhook="chat"), settings) == Webhook(
        "https://hooks.slack.com/services/T/B/X", "webhook chat"
    )
    assert target_of(Hook(("hold",), command="page"), settings) == Command(("/usr/bin/page", "--now"), "command page")
    assert isinstance(target_of(Hook(("hold",), webhook=PREFIX + "/a"), settings), Webhook)
    for hook in (
        Hook(("hold",), webhook="page"),
        Hook(("hold",), command="chat"),
        Hook(("hold",), webhook="https://hooks.example/other"),
        Hook(("hold",)),
    ):
        assert isinstance(target_of(hook, settings), Refused)
        assert isinstance(target_of(hook, Settings()), Refused)


def test_a_decision_that_went_through_no_plan_is_checked_again() -> None:
    """Who can write to the topic has no way around the rules for URLs."""
    settings = Settings(hooks_allow="http://h")
    assert isinstance(target_of(Hook(("hold",), webhook="http://h/a"), settings), Webhook)
    for url in ("http://h/../admin", "http://h\\@evil/", "http://ann:secret@h/"):
        found = target_of(Hook(("hold",), webhook=url), settings)
        assert isinstance(found, Refused)
        assert "secret" not in found.why


def test_urls_that_are_secrets_are_not_shown() -> None:
    """`serinus config` and logs of the settings show where a named webhook leads, and not what opens it."""
    settings = Settings(hooks_webhooks={"chat": "https://hooks.slack.com/services/T/B/X"})
    assert settings.shown()["hooks_webhooks"] == {"chat": f"https://hooks.slack.com/{SECRET}"}
    assert "T/B/X" not in repr(settings)
