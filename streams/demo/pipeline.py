"""The pipeline behind the demo: the same two processes as `serinus up`, with everything of their own."""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from confluent_kafka import KafkaException

from streams.cli.up import child
from streams.kafka import admin
from streams.settings import Settings
from streams.supervisor import Supervisor

DELETE_TIMEOUT_S = 10.0


def demo_settings(settings: Settings, data: Path) -> Settings:
    """Settings that meet nothing else on this machine or on this Kafka: topics, groups, ports and files of their own.

    Parameters
    ----------
    settings : as configured: where Kafka is, and how to get in.
    data : an empty directory.
    """
    http_port, ingest_http_port = _free_ports(2)
    return msgspec.structs.replace(
        settings,
        topic_prefix=f"demo-{uuid.uuid4().hex[:8]}.",
        http_host="127.0.0.1",
        http_port=http_port,
        http_advertised_url="",
        ingest_http_port=ingest_http_port,
        data_dir=str(data),
        log_format="json",
    )


@contextmanager
def running(settings: Settings, log: Path) -> Iterator[threading.Thread]:
    """Run ingest and worker as long as the block lasts.

    Parameters
    ----------
    log : file that takes what they write to stdout and stderr.

    Yields
    ------
    The thread that tends them; it ends early when one of them was given up.
    """
    stop = threading.Event()
    commands = [child(settings, name)._replace(log=log) for name in ("ingest", "worker")]
    thread = threading.Thread(target=Supervisor(commands, stop).run, name="demo-supervisor")
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join()


def delete_topics(settings: Settings) -> list[str]:
    """Delete the demo's topics from a real Kafka, the worker's changelogs included.

    Returns
    -------
    The names of those that the broker did not let go.
    """
    client = admin(settings)
    left: list[str] = []
    try:
        names = [name for name in client.list_topics(timeout=DELETE_TIMEOUT_S).topics if _is_ours(settings, name)]
        answers = client.delete_topics(names, operation_timeout=DELETE_TIMEOUT_S) if names else {}
    except KafkaException:
        return [f"{settings.topic_prefix}*"]
    for name, answer in answers.items():
        try:
            answer.result()
        except KafkaException:
            left.append(name)
    return left


def _is_ours(settings: Settings, name: str) -> bool:
    return name.startswith(settings.topic_prefix)


def _free_ports(count: int) -> list[int]:
    # All are held at once, so that no two are the same.
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
