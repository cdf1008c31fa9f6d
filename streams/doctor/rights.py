"""May we do what the pipeline does? The broker itself says which operations it allows to who asks."""

from __future__ import annotations

from typing import Any

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin._acl import AclOperation

from streams import topics
from streams.doctor.finding import Finding, fine, problem
from streams.kafka import admin
from streams.settings import Settings
from streams.worker.faust_app import changelog_topic

ABOUT = "rights"
_TIMEOUT_S = 10.0

READ, WRITE = AclOperation.READ, AclOperation.WRITE
ARROWS = {
    topics.EVENTS: ("ingest", {READ}),
    topics.EVENTS_DEAD: ("ingest", {WRITE}),
    topics.INPUTS: ("ingest and worker", {READ, WRITE}),
    topics.COMMANDS: ("worker, and who gives orders", {READ, WRITE}),
    topics.DECISIONS: ("worker", {READ, WRITE}),
    topics.CONTROL: ("worker", {READ, WRITE}),
    topics.BASES: ("ingest and worker", {READ, WRITE}),
}
"""Who needs what on which topic, when one principal runs the whole pipeline."""


def examine_rights(settings: Settings) -> list[Finding]:
    """The operations that the configured principal lacks."""
    client: Any = admin(settings, "serinus-doctor")
    needed = {settings.topic(name): arrow for name, arrow in ARROWS.items()}
    needed[changelog_topic(settings)] = ("worker", {READ, WRITE})
    existing = client.list_topics(timeout=_TIMEOUT_S).topics
    asked = sorted(name for name in needed if name in existing)
    if not asked or settings.embedded:
        return []
    hidden = sorted(set(needed) - set(asked))
    answers = client.describe_topics(
        TopicCollection(asked), include_authorized_operations=True, request_timeout=_TIMEOUT_S
    )
    findings = [
        problem(
            ABOUT, f"{name}: not visible: it is missing, or this principal may not DESCRIBE it", _remedy("pipeline")
        )
        for name in hidden
    ]
    for name in asked:
        who, operations = needed[name]
        try:
            allowed = set(answers[name].result(timeout=_TIMEOUT_S + 5).authorized_operations or ())
        except KafkaException as error:
            findings.append(problem(ABOUT, f"{name}: {error.args[0].str()}", f"allow DESCRIBE on {name}"))
            continue
        lacking = sorted(operation.name for operation in operations - allowed)
        if lacking and AclOperation.ALL not in allowed:
            findings.append(problem(ABOUT, f"{name}: this principal may not {' or '.join(lacking)}", _remedy(who)))
    return findings or [fine(ABOUT, f"all that the pipeline does is allowed on {len(asked)} topics")]


def _remedy(who: str) -> str:
    return f"give the right to the {who}: deploy/kafka/acls.py sets all of them"
