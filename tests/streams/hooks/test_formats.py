"""What is sent: each format says what its reader needs, and nothing that its reader would take for something else."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.decision import Action, encode_record
from schemas.documents import json_schema
from schemas.evidence import Verdict
from schemas.hook import Hook
from streams.hooks.alertmanager import HELD, LASTS_MS, ROLLED_BACK, alertmanager_body
from streams.hooks.delivery import body_of, key_of
from streams.hooks.retraining import retraining_body
from streams.hooks.slack import TEXT_LENGTH_MAX, slack_body
from tests.streams.hooks.decided import RELEASE, decided, row

AT_MS = 1_763_632_800_123

LABELS = {"type": "object", "additionalProperties": {"type": "string", "minLength": 1}}
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"}
ALERTS = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["labels"],
        "properties": {"labels": LABELS, "annotations": LABELS, "startsAt": TIME, "endsAt": TIME},
        "additionalProperties": False,
    },
}
"""What Alertmanager's API v2 asks of posted alerts, in our words; test_alertmanager.py asks a real one."""


def alerts(action: Action, **more: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(alertmanager_body(decided(action, at_ms=AT_MS, **more)))
    jsonschema.Draft202012Validator(ALERTS).validate(found)
    return found


def test_a_hold_fires_and_everything_else_ends_it() -> None:
    """By the same labels, whatever the action: otherwise the alert would stay."""
    (held,) = alerts(Action.HOLD)
    assert held["labels"] == {
        "alertname": HELD, "service": "chat", "release": RELEASE, "version": "v2", "severity": "warn",
    }  # fmt: skip
    assert (held["startsAt"], held["endsAt"]) == ("2025-11-20T10:00:00.123Z", "2025-11-21T10:00:00.123Z")
    assert LASTS_MS == 86_400_000
    for action in set(Action) - {Action.HOLD}:
        ended = [alert for alert in alerts(action, epoch=9) if alert["labels"] == held["labels"]]
        assert [(alert["endsAt"], "startsAt" in alert) for alert in ended] == [("2025-11-20T10:00:00.123Z", False)]


def test_a_rollback_fires_for_each_canary() -> None:
    """A page for each version, with the sentence of the decision."""
    found = alerts(Action.ROLLBACK, canaries=("v2", "v3"))
    fired = [alert for alert in found if alert["labels"]["alertname"] == ROLLED_BACK]
    assert [alert["labels"]["version"] for alert in fired] == ["v2", "v3"]
    assert {alert["labels"]["severity"] for alert in fired} == {"page"}
    assert fired[0]["annotations"]["summary"].startswith("Rolled back v2")
    assert fired[0]["startsAt"] < fired[0]["endsAt"]


def test_a_chat_message_says_it_and_pings_nobody() -> None:
    """An operator's reason comes from anybody: neither mention nor link comes out of it."""
    reason = "Rolled back v2: <!channel> see <https://evil|here> & go"
    found = json.loads(slack_body(decided(reason=reason)))
    escaped = "Rolled back v2: &lt;!channel&gt; see &lt;https://evil|here&gt; &amp; go"
    assert found["text"] == f"chat: rollback: {escaped}"
    assert [block["type"] for block in found["blocks"]] == ["section", "section", "context"]
    assert found["blocks"][1]["text"] == {"type": "mrkdwn", "text": escaped}
    about = found["blocks"][2]["elements"][0]["text"]
    assert all(part in about for part in (RELEASE, "epoch 7", "serinus", "v1 100%"))


@given(st.text(max_size=4_000))
def test_a_chat_message_is_short_enough(reason: str) -> None:
    """Slack refuses longer sections, and a refused message tells nobody."""
    found = json.loads(slack_body(decided(reason=reason)))
    text = found["blocks"][1]["text"]["text"]
    assert len(text) <= TEXT_LENGTH_MAX
    assert "<" not in text and ">" not in text


def test_retraining_has_what_training_needs() -> None:
    """Which version, by which gates, with the numbers, and where the requests lie."""
    evidence = (
        row(Verdict.FAIL, segment="eu"),
        row(Verdict.FAIL),
        row(Verdict.PASS, "v3"),
        row(Verdict.FAIL, "v3", role="observe"),
    )
    decision = decided(evidence=evidence, canaries=("v2", "v3"), at_ms=AT_MS)
    found = json.loads(retraining_body(decision, key="k", topic="eu-inference.events"))
    jsonschema.Draft202012Validator(json_schema("retraining")).validate(found)
    assert (found["worse"], found["baseline"], found["canaries"]) == (["v2"], "v1", ["v2", "v3"])
    assert [(one["metric"], one["segment"]) for one in found["failed"]] == [("error_rate", "eu"), ("error_rate", "")]
    first = found["failed"][0]
    assert (first["effect"], first["effect_low"], first["effect_high"]) == (0.03, 0.02, 0.04)
    assert (first["n_baseline"], first["n_canary"]) == (9_000, 1_000)
    assert len(found["evidence"]) == 4
    assert (found["topic"], found["through"]) == ("eu-inference.events", {"0": 41, "1": 17})
    assert (found["key"], found["action"], found["type"]) == ("k", "rollback", "retrain")


def test_nobody_is_worse_when_nothing_was_shown() -> None:
    """An operator's rollback starts no training by itself."""
    found = json.loads(retraining_body(decided(evidence=(row(Verdict.INCONCLUSIVE),)), key="k", topic="t"))
    assert (found["worse"], found["failed"], len(found["evidence"])) == ([], [], 1)


@pytest.mark.parametrize("name", ["decision", "slack", "alertmanager", "retrain"])
def test_every_format_is_json(name: Any) -> None:
    """A hook's format is what is sent; the decision itself as it stands on the topic."""
    decision = decided(Action.HOLD, Hook(("hold",), command="a", format=name))
    raw = encode_record(decision)
    body = body_of(decision.hooks[0], decision, raw, key="k", topic="t")
    assert json.loads(body)
    assert (body == raw) == (name == "decision")


def test_keys_tell_deliveries_apart() -> None:
    """By release, epoch and hook, whatever letters the release has."""
    keys = {
        key_of(decided(epoch=epoch, service=name), index)
        for epoch in (1, 2)
        for name in ("a", "ä/1")
        for index in (0, 1)
    }
    assert len(keys) == 8
    assert all(key.isascii() and key.isprintable() and " " not in key for key in keys)
