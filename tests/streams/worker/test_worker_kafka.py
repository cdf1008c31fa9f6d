"""The worker as a process on a real Kafka: traps of Faust, take-over, refusals."""

from __future__ import annotations

import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.cimpl import NewTopic

from schemas.command import encode_command
from schemas.inputs import Input, Tick, encode_input
from schemas.report import PANE_MS, SLICE_MS
from streams.kafka import admin, consumer, producer
from streams.service_partition import partition_of
from streams.settings import Settings
from streams.topics import COMMANDS, INPUTS
from streams.worker.faust_app import changelog_topic
from tests.e2e.pipeline import Pipeline, Worker, pipeline, wait_for
from tests.streams.worker.inputs_log import cell, report, start_command

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

PARTITIONS = 4
SERVICES = ("chat", "code", "search", "rank")


@pytest.fixture
def running(kafka_broker: str, topic_prefix: str, tmp_path: Path) -> Iterator[Pipeline]:
    """Topics of this test's own, and whatever it starts on them."""
    with pipeline(kafka_broker, topic_prefix, tmp_path) as started:
        yield started


class Feeder:
    """Stands in for ingest: reports for all services, one slice after the other."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.slice_no = time.time_ns() // 1_000_000 // SLICE_MS
        self.sent = dict.fromkeys(SERVICES, 0)
        self._through = 0

    def slices(self, count: int, **properties: str) -> None:
        """Send reports of ``count`` slices with ten requests of each service in each."""
        client = producer(self.settings, "test-feeder", **properties)
        for _ in range(count):
            self.slice_no += 1
            self._through += 10
            for number in range(PARTITIONS):
                names = [name for name in SERVICES if partition_of(name, PARTITIONS) == number]
                cells = [cell(name, "v1", ts_ms=self.slice_no * SLICE_MS, n=10, errors=1) for name in names]
                said = report(source=0, slice_no=self.slice_no, through=self._through, cells=cells)
                client.produce(self.settings.topic(INPUTS), encode_input(said), partition=number, timestamp=1000)
            for name in SERVICES:
                self.sent[name] += 10
        assert client.flush(20) == 0


def settings_of(running: Pipeline) -> Settings:
    return Settings(brokers=running.brokers, topic_prefix=running.prefix)


def requests(worker: Worker, service: str) -> int | None:
    """All requests that the windows table has; None while nobody can say."""
    now_ms = time.time_ns() // 1_000_000 // 3_600_000 * 3_600_000
    span = f"from_ms={now_ms - 3_600_000}&to_ms={now_ms + 7_200_000}&window_ms={360 * PANE_MS}"
    try:
        page = worker.get(f"/v1/services/{service}/windows?{span}")
    except (urllib.error.URLError, OSError):
        return None
    return sum(int(row["n"]) for row in page["rows"])


def has_all(worker: Worker, feeder: Feeder) -> bool:
    return all(requests(worker, name) == n for name, n in feeder.sent.items())


def test_another_worker_takes_over_within_ten_seconds(running: Pipeline) -> None:
    """After kill -9 of one of two workers the other one has everything, from the table and the inputs, in 10 s."""
    feeder = Feeder(settings_of(running))
    first, second = running.worker(), running.worker()
    first.wait_ready()
    second.wait_ready()
    feeder.slices(20)
    wait_for(lambda: has_all(second, feeder), 20, what="everything counted", dump=running.logs)
    time.sleep(1.5)  # lets a checkpoint contain some of it
    assert has_all(first, feeder), "any worker answers for any service"
    first.process.kill()
    feeder.slices(5)
    took_s = wait_for(lambda: has_all(second, feeder), 15, what="taken over", dump=running.logs)
    assert took_s <= 10.0, running.logs()
    assert second.process.stop(5.0) == 0


def test_a_restarted_worker_goes_on_whatever_the_group_has_committed(running: Pipeline) -> None:
    """The group's commit, moved ahead of the state by hand, does not make it skip inputs, nor count them twice."""
    settings, feeder = settings_of(running), Feeder(settings_of(running))
    worker = running.worker()
    worker.wait_ready()
    feeder.slices(10)
    wait_for(lambda: has_all(worker, feeder), 20, what="everything counted", dump=running.logs)
    worker.process.kill()
    feeder.slices(10)
    group = consumer(settings, "test", settings.group("worker"))
    ends = {n: group.get_watermark_offsets(TopicPartition(settings.topic(INPUTS), n))[1] for n in range(PARTITIONS)}

    def committed() -> bool:
        try:
            places = [TopicPartition(settings.topic(INPUTS), n, end) for n, end in ends.items()]
            group.commit(offsets=places, asynchronous=False)
        except Exception:  # the group still has its killed member
            return False
        return True

    wait_for(committed, 20, what="the group's offsets moved")
    group.close()
    worker.process.restart()
    worker.wait_ready()
    wait_for(lambda: has_all(worker, feeder), 10, what="everything counted once", dump=running.logs)


def test_every_codec_and_every_kind_of_garbage_on_every_topic_that_faust_reads(running: Pipeline) -> None:
    """Compressed and undecodable records on inputs, commands and changelog neither stop nor confuse the worker."""
    settings, feeder = settings_of(running), Feeder(settings_of(running))
    topics = (settings.topic(INPUTS), settings.topic(COMMANDS))
    worker = running.worker()
    worker.wait_ready()
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        feeder.slices(2, compression_type=codec)
        stranger = producer(settings, "test-stranger", compression_type=codec)
        for topic in topics:
            for value in (b"x" * 5000, b"", None, b"\x81\xa4type\xa5other", b'{"type":"command"}'):
                stranger.produce(topic, value, key=b"k", partition=1)
        for number in range(PARTITIONS):
            stranger.produce(changelog_topic(settings), b"y" * 5000, key=b"k", partition=number)
        assert stranger.flush(20) == 0
    wait_for(lambda: has_all(worker, feeder), 20, what="good records counted", dump=running.logs)
    worker.process.kill()
    worker.process.restart()
    worker.wait_ready()
    wait_for(lambda: has_all(worker, feeder), 10, what="good records counted after a restart", dump=running.logs)
    assert worker.process.popen.poll() is None
    text = worker.get("/metrics")
    assert "serinus_worker_ready 1.0" in text


def test_a_command_is_carried_out_and_its_answer_comes_back(running: Pipeline) -> None:
    """A command on the topic, keyed by another partitioner, reaches its service; the HTTP interface tells."""
    worker = running.worker()
    worker.wait_ready()
    client = producer(settings_of(running), "test", partitioner="consistent_random")
    client.produce(running.topic(COMMANDS), encode_command(start_command()), key=b"chat")
    assert client.flush(10) == 0

    def started() -> bool:
        try:
            return bool(worker.get("/v1/services/chat/release")["state"] == "ramping")
        except urllib.error.HTTPError:
            return False

    wait_for(started, 10, what="the release started", dump=running.logs)
    [decision] = worker.get("/v1/services/chat/decisions")["decisions"]
    assert decision["action"] == "start"


def test_a_wrong_partition_count_is_refused(running: Pipeline) -> None:
    """With other counts than the topic's, commands would be lost: the worker says so in one line and exits with 2."""
    process = running.start("worker", SERINUS_INPUTS_PARTITIONS="3")
    assert process.popen.wait(20) == 2
    assert "found 4 partitions" in process.text()


def test_a_changelog_with_another_partition_count_is_refused(running: Pipeline) -> None:
    """States would be stored where nobody looks for them."""
    settings = settings_of(running)
    topic = changelog_topic(settings)
    client = admin(settings)
    client.create_topics([NewTopic(topic, num_partitions=2, replication_factor=1)])[topic].result()
    process = running.start("worker")
    assert process.popen.wait(20) == 2
    assert "found 2 partitions" in process.text()


def test_a_rejected_checkpoint_ends_the_worker(running: Pipeline) -> None:
    """Faust would only warn, and the commits would run ahead of the state: here the process ends with 3."""
    settings, feeder = settings_of(running), Feeder(settings_of(running))
    worker = running.worker()
    worker.wait_ready()
    small = ConfigEntry("max.message.bytes", "200", incremental_operation=AlterConfigOpType.SET)
    topic = ConfigResource(ConfigResource.Type.TOPIC, changelog_topic(settings), incremental_configs=[small])
    client = admin(settings)
    for done in client.incremental_alter_configs([topic]).values():
        done.result()
    feeder.slices(8)
    assert worker.process.popen.wait(20) == 3
    assert "not acknowledged" in worker.process.text()


def test_inputs_that_were_created_anew_are_refused(running: Pipeline) -> None:
    """Offsets that begin again would be taken for redeliveries for a long time: the worker says what happened."""
    settings, feeder = settings_of(running), Feeder(settings_of(running))
    worker = running.worker()
    worker.wait_ready()
    feeder.slices(8)
    wait_for(lambda: has_all(worker, feeder), 20, what="everything counted", dump=running.logs)
    assert worker.process.stop() == 0
    topic, client = settings.topic(INPUTS), admin(settings)
    client.delete_topics([topic])[topic].result()
    time.sleep(1.0)
    running.create_topics()
    worker.process.restart()
    assert worker.process.popen.wait(30) == 3
    assert "created anew" in worker.process.text()


def test_a_gap_left_by_retention_is_said_and_passed(running: Pipeline) -> None:
    """Inputs deleted while no worker ran are lost, loudly; what comes after them is counted."""
    settings, feeder = settings_of(running), Feeder(settings_of(running))
    worker = running.worker()
    worker.wait_ready()
    feeder.slices(4)
    wait_for(lambda: has_all(worker, feeder), 20, what="everything counted", dump=running.logs)
    time.sleep(2.5)  # lets a checkpoint contain it
    worker.process.kill()
    kept = dict(feeder.sent)
    lost = 0
    for _ in range(3):
        feeder.slices(1)
        lost += 10
    client, topic = admin(settings), settings.topic(INPUTS)
    group = consumer(settings, "test", "test-ends")
    ends = [
        TopicPartition(topic, n, group.get_watermark_offsets(TopicPartition(topic, n))[1]) for n in range(PARTITIONS)
    ]
    group.close()
    for done in client.delete_records(ends).values():
        done.result()
    feeder.slices(2)
    worker.process.restart()
    worker.wait_ready()

    def counted() -> bool:
        # The slice that was open at the kill may be lost with the inputs: it was never folded.
        return all((requests(worker, name) or 0) >= n - 20 for name, n in kept.items()) and all(
            (requests(worker, name) or 0) >= n - lost - 20 for name, n in feeder.sent.items()
        )

    wait_for(counted, 10, what="what is left is counted", dump=running.logs)
    assert "deleted before they were read" in worker.process.text()


def test_ticks_make_time_pass_on_every_partition(running: Pipeline) -> None:
    """Once a second each partition in hand gets a tick, with the broker's time on it."""
    worker = running.worker()
    worker.wait_ready()
    time.sleep(3.5)
    settings = settings_of(running)
    reader = consumer(settings, "test", "test-ticks")
    reader.assign([TopicPartition(settings.topic(INPUTS), n, 0) for n in range(PARTITIONS)])
    found = [m for m in reader.consume(4 * PARTITIONS, 5.0) if m.error() is None]
    reader.close()
    per_partition = [sum(m.partition() == n for m in found) for n in range(PARTITIONS)]
    assert min(per_partition) >= 2
    values: set[type[Input]] = {type(msgspec.msgpack.decode(m.value() or b"", type=Tick)) for m in found}
    assert values == {Tick}
