from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from schemas.decision import Action, Decision, State
from schemas.evidence import Verdict
from streams.logs import configure, log_decision
from streams.settings import Settings


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


def decision(verdict: Verdict) -> Decision:
    return Decision(
        service="chat",
        release_id="chat-1",
        epoch=3,
        at_ms=1,
        action=Action.ROLLBACK,
        state=State.ROLLED_BACK,
        verdict=verdict,
        weights_ppm={"v1": 1_000_000},
        actor="serinus",
        reason="error rate 4.9 % against 1.0 %",
    )


@pytest.mark.parametrize(("verdict", "level"), [(Verdict.FAIL, "warning"), (Verdict.PASS, "info")])
def test_a_decision_is_one_line_with_its_reason(
    capsys: pytest.CaptureFixture[str], verdict: Verdict, level: str
) -> None:
    """One JSON object on one line of stderr, whose event is the reason; stdout stays free for output."""
    configure(Settings(log_format="json"))
    log_decision(decision(verdict))
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    line = json.loads(err)
    assert line["event"] == "error rate 4.9 % against 1.0 %"
    assert (line["service"], line["action"], line["epoch"], line["level"]) == ("chat", "rollback", 3, level)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_secrets_never_reach_the_log(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    """Neither a field named like a secret, nor one inside a mapping, nor settings as a whole give a secret away."""
    settings = Settings(log_format="json" if log_format == "json" else "console", kafka={"sasl.password": "hunter2"})
    configure(settings)
    log = structlog.stdlib.get_logger("serinus.test")
    log.info("starting", sasl_password="hunter2", kafka=settings.kafka, settings=settings, user="ada")
    logging.getLogger("other").warning("starting", extra={"client_secret": "hunter2"})
    err = capsys.readouterr().err
    assert "hunter2" not in err
    assert "***" in err and "ada" in err


def test_other_libraries_log_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    """The standard library's logging comes out as JSON too, and chatter of libraries below a warning is left out."""
    configure(Settings(log_format="json", log_level="info"))
    logging.getLogger("faust.app").info("chatter")
    logging.getLogger("faust.app").warning("trouble %s", 7)
    logging.getLogger("serinus.x").debug("detail")
    [line] = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert (found["event"], found["level"], found["logger"]) == ("trouble 7", "warning", "faust.app")


def test_an_exception_is_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    """In JSON a traceback is a field, so that a line remains a record."""
    configure(Settings(log_format="json"))
    try:
        int("broken")
    except ValueError:
        structlog.stdlib.get_logger("serinus.test").error("failed", exc_info=True)
    [line] = capsys.readouterr().err.splitlines()
    assert "ValueError: invalid literal" in json.loads(line)["exception"]
