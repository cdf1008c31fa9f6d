"""Who may ask and who may give orders: tokens, roles, other machines, other sites, guessing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from schemas.command import decode_command
from schemas.inputs import Forwarded
from schemas.plan import EXAMPLE
from streams.http import access, orders
from streams.http.failed_attempts import ADDRESSES_MAX, ATTEMPTS_MAX, FailedAttempts
from streams.http.tokens import Role, Tokens, TokensError, read_tokens
from streams.topics import COMMANDS
from tests.streams.http.client import Client, Running, ask
from tests.streams.worker.inputs_log import START_MS, Log, start_command

STARTED: Log = [(Forwarded(start_command()), START_MS)]
RELEASE = "/v1/services/chat/release"
PAUSE = json.dumps({"command": "pause", "reason": "lunch", "actor": "mallory"})
VIEWER, OPERATOR = "viewer-token-0123456789", "operator-token-0123456789"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    """A viewer and an operator."""
    path = tmp_path / "tokens"
    path.write_text(f"# who\nviewer vera {VIEWER}\n\noperator otto {OPERATOR}\n")
    return read_tokens(path)


def test_each_role_may_do_what_it_may_and_no_more(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    """A viewer reads, an operator orders, nobody without a token does either; probes need none."""
    monkeypatch.setattr(orders, "ANSWER_S", 0.05)
    running = Running(STARTED, tokens=tokens)

    async def questions(client: Client) -> None:
        async def status(method: str, path: str, token: str | None, body: str | None = None) -> int:
            headers = {} if token is None else bearer(token)
            return (await client.request(method, path, headers=headers, data=body)).status

        assert [await status("GET", RELEASE, one) for one in (None, "x" * 30, VIEWER, OPERATOR)] == [401, 401, 200, 200]
        for path, body in ((RELEASE, EXAMPLE), (f"{RELEASE}/commands", PAUSE)):
            assert [await status("POST", path, one, body) for one in (None, VIEWER, OPERATOR)] == [401, 403, 202]
        assert [await status("GET", path, None) for path in sorted(access.OPEN)] == [200] * 4

    ask(running, questions)


def test_the_actor_is_the_holder_of_the_token(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can sign an order with another name."""
    monkeypatch.setattr(orders, "ANSWER_S", 0.05)
    running = Running(STARTED, tokens=tokens)

    async def questions(client: Client) -> None:
        await client.post(f"{RELEASE}/commands", headers=bearer(OPERATOR), data=PAUSE)
        await client.post(f"{RELEASE}?actor=mallory", headers=bearer(OPERATOR), data=EXAMPLE)

    ask(running, questions)
    sent = [decode_command(record.value or b"") for record in running.broker.sent if record.topic == COMMANDS]
    assert [command.actor for command in sent] == ["otto", "otto"]


def test_guessing_is_refused_after_some_attempts_even_when_it_guesses_right(tokens: Tokens) -> None:
    """After ten wrong tokens an address has to wait; the log names the address and never a token."""

    async def questions(client: Client) -> None:
        for number in range(ATTEMPTS_MAX):
            assert (await client.get(RELEASE, headers=bearer(f"guess-number-{number:020}"))).status == 401
        refused = await client.get(RELEASE, headers=bearer(OPERATOR))
        assert (refused.status, refused.headers["Retry-After"]) == (429, "60")

    with capture_logs() as logs:
        ask(Running(STARTED, tokens=tokens), questions)
    told = json.dumps(logs)
    assert "127.0.0.1" in told and "guess-number" not in told and OPERATOR not in told


def test_the_memory_of_failed_attempts_is_bounded() -> None:
    """A flood from a million addresses keeps the newest thousand."""
    attempts = FailedAttempts()
    for number in range(5 * ADDRESSES_MAX):
        for _ in range(ATTEMPTS_MAX):
            attempts.failed(str(number), now_s=0.0)
    assert attempts.wait_s("0", now_s=1.0) == 0.0 and attempts.wait_s(str(5 * ADDRESSES_MAX - 1), now_s=1.0) == 59.0
    assert len(attempts._windows) == ADDRESSES_MAX


def test_without_tokens_orders_come_from_this_machine_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody may look; an order from elsewhere is refused and says what to set."""
    monkeypatch.setattr(orders, "ANSWER_S", 0.05)

    async def questions(client: Client) -> None:
        assert (await client.post(f"{RELEASE}/commands", data=PAUSE)).status == 202
        monkeypatch.setattr(access, "_local", lambda remote: False)
        assert (await client.get(RELEASE)).status == 200
        refused = await client.post(f"{RELEASE}/commands", data=PAUSE)
        assert refused.status == 403 and "http_tokens_file" in (await refused.json())["detail"]

    ask(Running(STARTED), questions)


@pytest.mark.parametrize(("address", "local"), [("127.0.0.1", True), ("::1", True), ("10.0.0.7", False), ("", False)])
def test_what_counts_as_this_machine(address: str, local: bool) -> None:
    """Loopback addresses; an unknown address is not one."""
    assert access._local(address) is local


def test_a_page_of_another_site_cannot_give_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser that may order does not do so for somebody else's page; its own page may."""
    monkeypatch.setattr(orders, "ANSWER_S", 0.05)

    async def questions(client: Client) -> None:
        def order(origin: str) -> dict[str, str]:
            return {"Origin": origin, "Content-Type": "text/plain"}

        path = f"{RELEASE}/commands"
        assert (await client.post(path, data=PAUSE, headers=order("https://evil.example"))).status == 403
        own = f"http://{client.host}:{client.port}"
        assert (await client.post(path, data=PAUSE, headers=order(own))).status == 202

    ask(Running(STARTED), questions)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "found 0 tokens; allowed are 1 to 1000"),
        ("operator otto", "tokens:1: found 2 words; allowed is: viewer|operator NAME TOKEN"),
        (f"admin otto {OPERATOR}", "tokens:1: found a role that is neither viewer nor operator"),
        ("operator otto short", "tokens:1: the token of otto has 5 characters; allowed are 20 or more"),
        (f"operator {'o' * 65} {OPERATOR}", "tokens:1: the name has 65 characters; allowed are up to 64"),
        (f"viewer a {VIEWER}\noperator b {VIEWER}", "tokens:2: the token of b is that of a as well"),
    ],
)
def test_a_wrong_file_of_tokens_says_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    """Line, what was found, what is allowed; never a token."""
    path = tmp_path / "tokens"
    path.write_text(text)
    with pytest.raises(TokensError) as caught:
        read_tokens(path)
    assert said in str(caught.value)
    assert VIEWER not in str(caught.value) and OPERATOR not in str(caught.value)


def test_a_file_that_is_not_there_is_an_error_and_not_an_open_door(tmp_path: Path) -> None:
    """A worker that cannot read its tokens does not start."""
    with pytest.raises(TokensError, match="not readable"):
        read_tokens(tmp_path / "none")


def test_several_tokens_of_one_name_may_be_valid_at_once(tmp_path: Path) -> None:
    """So that tokens can be changed without a gap."""
    path = tmp_path / "tokens"
    path.write_text(f"operator otto {OPERATOR}\noperator otto {OPERATOR}-next\n")
    found = read_tokens(path)
    for token in (OPERATOR, f"{OPERATOR}-next"):
        holder = found.holder(token)
        assert holder is not None and (holder.name, holder.role) == ("otto", Role.OPERATOR)
