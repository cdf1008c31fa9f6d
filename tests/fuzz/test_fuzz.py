"""Fuzzed records on every topic that is read: nothing breaks, nothing grows, and each record is accounted for."""

from __future__ import annotations

import pytest

from deploy.kafka.acls import READ, ROLES, TOPIC
from tests.fuzz.fuzz import fuzz
from tests.fuzz.readers import TOPICS

RECORDS = 4_000
"""Of each topic; `make fuzz` takes a million."""

GROWN_MB_MAX = 60.0
"""Sixty thousand records of tens of kilobytes that were kept would be gigabytes; caches of the runtime are not."""


def test_every_topic_that_is_read_is_fuzzed() -> None:
    """What the rights let somebody read is among the topics here, and the worker's own table."""
    rights = [right for rights in ROLES.values() for right in rights if right.kind is TOPIC]
    read = {right.name for right in rights if READ in right.operations}
    assert read - {"serinus-worker-"} <= TOPICS.keys()
    assert "the worker's table" in TOPICS


@pytest.mark.parametrize("topic", TOPICS)
def test_fuzzed_records(topic: str) -> None:
    """The readers raise nothing, lose no record, and hold no more at the end than after a tenth."""
    found = fuzz(topic, RECORDS, seed=1)
    assert found.became
    assert found.grown_mb < GROWN_MB_MAX
