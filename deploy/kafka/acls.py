"""Gives each part of the pipeline the rights that it needs on Kafka's topics, and no more.

    python deploy/kafka/acls.py --brokers kafka-1:9092 --client admin.properties \\
        --ingest User:ingest --worker User:worker --hooks User:hooks --services User:chat --routers User:gateway \\
        --operators User:ann

Needs confluent-kafka, as the pipeline does. `admin.properties` holds librdkafka's properties of somebody who may alter
ACLs. Setting the same rights again changes nothing; rights are never taken away here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

TOPIC, GROUP = ResourceType.TOPIC, ResourceType.GROUP
READ, WRITE, DESCRIBE, CREATE = AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE, AclOperation.CREATE
CONFIGS = AclOperation.DESCRIBE_CONFIGS
LITERAL, PREFIXED = ResourcePatternType.LITERAL, ResourcePatternType.PREFIXED
_TIMEOUT_S = 15.0


class Right(NamedTuple):
    """Operations on one resource; its name gets the prefix of the installation."""

    kind: ResourceType
    name: str
    operations: tuple[AclOperation, ...]
    pattern: ResourcePatternType = LITERAL


EVENTS, DEAD, INPUTS = "inference.events", "inference.events.dead", "canary.inputs"
COMMANDS, DECISIONS, CONTROL = "canary.commands", "canary.decisions", "canary.control"
BASES = "canary.bases"

ROLES: dict[str, tuple[Right, ...]] = {
    "services": (Right(TOPIC, EVENTS, (WRITE, DESCRIBE)),),
    "routers": (Right(TOPIC, CONTROL, (READ, DESCRIBE)), Right(GROUP, "", (READ,), PREFIXED)),
    "operators": (
        Right(TOPIC, COMMANDS, (WRITE, DESCRIBE)),
        Right(TOPIC, DECISIONS, (READ, DESCRIBE)),
        Right(TOPIC, CONTROL, (READ, DESCRIBE)),
        Right(GROUP, "serinus-", (READ,), PREFIXED),
    ),
    "ingest": (
        Right(TOPIC, EVENTS, (READ, DESCRIBE, CONFIGS)),
        Right(TOPIC, DEAD, (WRITE, DESCRIBE, CONFIGS)),
        Right(TOPIC, INPUTS, (WRITE, DESCRIBE, CONFIGS)),
        Right(TOPIC, BASES, (READ, DESCRIBE)),
        Right(GROUP, "serinus-", (READ, DESCRIBE), PREFIXED),
    ),
    "hooks": (
        Right(TOPIC, DECISIONS, (READ, DESCRIBE)),
        Right(GROUP, "serinus-", (READ, DESCRIBE), PREFIXED),
    ),
    "worker": (
        Right(TOPIC, INPUTS, (READ, WRITE, DESCRIBE, CONFIGS)),
        Right(TOPIC, COMMANDS, (READ, DESCRIBE, CONFIGS)),
        Right(TOPIC, DECISIONS, (READ, WRITE, DESCRIBE, CONFIGS)),
        Right(TOPIC, CONTROL, (READ, WRITE, DESCRIBE, CONFIGS)),
        Right(TOPIC, BASES, (READ, WRITE, DESCRIBE, CONFIGS)),
        Right(TOPIC, "serinus-worker-", (READ, WRITE, CREATE, DESCRIBE, CONFIGS), PREFIXED),
        Right(GROUP, "serinus-", (READ, DESCRIBE), PREFIXED),
        Right(TOPIC, EVENTS, (DESCRIBE, CONFIGS)),
        Right(TOPIC, DEAD, (DESCRIBE, CONFIGS)),
    ),
}
"""The arrows of the data flow. The worker's changelog is named by Faust; it creates it."""


def bindings(role: str, principal: str, prefix: str) -> list[AclBinding]:
    """The rights of one principal in one role."""
    found = []
    for right in ROLES[role]:
        for operation in right.operations:
            name = prefix + right.name
            # A router's group has a name of its own choice; Kafka takes no empty prefix for "any".
            pattern = right.pattern if name else LITERAL
            allow = AclPermissionType.ALLOW
            found.append(AclBinding(right.kind, name or "*", pattern, principal, "*", operation, allow))
    return found


def grant(client: AdminClient, wanted: Sequence[AclBinding]) -> None:
    """Set rights; raises KafkaException with what the broker said to the first that it refuses."""
    for answer in client.create_acls(list(wanted), request_timeout=_TIMEOUT_S).values():
        answer.result(timeout=_TIMEOUT_S + 5)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 = done, 2 = wrong input, 3 = the broker refused or does not answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", required=True, help="host:port, or several with commas between")
    parser.add_argument("--client", type=Path, help="librdkafka properties, NAME=VALUE lines")
    parser.add_argument("--prefix", default="", help="topic_prefix of the installation")
    for role in ROLES:
        parser.add_argument(f"--{role}", action="append", default=[], metavar="User:NAME", help="may be repeated")
    asked = parser.parse_args(arguments)
    properties = {"bootstrap.servers": asked.brokers}
    if asked.client is not None:
        lines = [line.strip() for line in asked.client.read_text().splitlines()]
        pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
        properties |= {name.strip(): value.strip() for name, _, value in pairs}
    given = [(role, principal) for role in ROLES for principal in getattr(asked, role)]
    if wrong := [principal for _, principal in given if not principal.startswith("User:")]:
        parser.error(f"found {wrong[0]!r}; allowed is User:NAME")
    if not given:
        parser.error(f"nobody named; allowed are {', '.join('--' + role for role in ROLES)}")
    try:
        client = AdminClient(properties)
        for role, principal in given:
            grant(client, bindings(role, principal, asked.prefix))
            print(f"{principal}: {role}")
    except KafkaException as error:
        print(f"acls: {error.args[0].str() if error.args else error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
