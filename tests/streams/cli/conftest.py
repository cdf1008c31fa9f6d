from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest
import structlog
from click.testing import CliRunner, Result

from schemas.decision import Action, Decision, State
from schemas.evidence import Verdict
from streams.cli import cli
from streams.embedded import embedded_broker
from streams.environment import environment_of
from streams.settings import Settings

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def broker() -> Iterator[Settings]:
    with embedded_broker(Settings(log_format="json")) as settings:
        yield settings


@pytest.fixture
def run(broker: Settings) -> Run:
    """Runs `serinus` against the embedded broker."""
    environ = environment_of(broker, {})
    return lambda *words: CliRunner().invoke(cli, words, env=environ, prog_name="serinus", catch_exceptions=False)


def decision(
    epoch: int,
    action: Action = Action.ADVANCE,
    state: State = State.RAMPING,
    *,
    release_id: str = "chat-1",
    command_id: str | None = None,
) -> Decision:
    return Decision(
        service="chat",
        release_id=release_id,
        epoch=epoch,
        at_ms=1_763_632_800_000 + epoch * 1000,
        action=action,
        state=state,
        verdict=Verdict.PASS,
        weights_ppm={"v1": 950_000, "v2": 50_000},
        actor="serinus",
        reason=f"reason {epoch}",
        command_id=command_id,
    )
