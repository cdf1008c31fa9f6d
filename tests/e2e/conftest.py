"""One running pipeline for the tests that disturb nobody: each uses services of its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.e2e.pipeline import Pipeline, Process, Worker, pipeline


class Stack(NamedTuple):
    """A pipeline with one ingest and one worker."""

    pipeline: Pipeline
    ingest: Process
    worker: Worker


@pytest.fixture(scope="package")
def stack(kafka_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Starts it once; at the end both processes must stop in order, with exit code 0."""
    folder = tmp_path_factory.mktemp("stack")
    with pipeline(kafka_broker, f"t{uuid.uuid4().hex[:10]}.", folder) as running:
        ingest, worker = running.ingest(), running.worker()
        worker.wait_ready()
        yield Stack(running, ingest, worker)
        assert worker.process.stop() == 0, worker.process.text()[-3000:]
        assert ingest.stop() == 0, ingest.text()[-3000:]
