"""A decision as a chat reads it: the shape of incoming webhooks that Slack and Mattermost take."""

from __future__ import annotations

import msgspec

from schemas.decision import Decision
from schemas.units import Share

TEXT_LENGTH_MAX = 2_900
"""Slack refuses a section of more than 3,000 characters."""


def slack_body(decision: Decision) -> bytes:
    """The message: one line for notifications, the reason, and below it what it is about.

    A reason may quote an operator: what Slack would take for a mention or a link is escaped.
    """
    reason = _escaped(decision.reason, TEXT_LENGTH_MAX)
    title = _escaped(f"{decision.service}: {decision.action.value.replace('_', ' ')}", 300)
    served = ", ".join(f"{version} {Share(ppm).text()}" for version, ppm in decision.weights_ppm.items())
    about = _escaped(f"{decision.release_id} · epoch {decision.epoch} · by {decision.actor} · now {served}", 1_000)
    blocks = [
        {"type": "section", "text": {"type": "mrkdwn", "text": f"*{title}*"}},
        {"type": "section", "text": {"type": "mrkdwn", "text": reason}},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": about}]},
    ]
    return msgspec.json.encode({"text": f"{title}: {reason}", "blocks": blocks})


def _escaped(text: str, length_max: int) -> str:
    """At most so many characters, counted as they are sent.

    >>> _escaped("<!channel> & all", 100), _escaped("a" * 9, 5), _escaped("<<", 5)
    ('&lt;!channel&gt; &amp; all', 'aaaa…', '&lt;…')
    """
    pieces = [{"&": "&amp;", "<": "&lt;", ">": "&gt;"}.get(letter, letter) for letter in text]
    if sum(map(len, pieces)) <= length_max:
        return "".join(pieces)
    taken, left = [], length_max - 1
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            break
        taken.append(piece)
    return "".join(taken) + "…"
