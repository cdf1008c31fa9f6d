"""One run of an ingest process: waiting for its topic, the loop, and what its end means."""

from __future__ import annotations

import threading
from typing import Final

import structlog
from confluent_kafka import KafkaError, KafkaException

from streams.ingest.loop import IngestLoop
from streams.ingest.metrics import IngestMetrics
from streams.ingest.outbox import DeliveryError
from streams.ingest.settings import IngestSettings
from streams.ingest.source import CreateTimeError
from streams.ingest.topic_identity import TopicReplacedError, topic_identity
from streams.probes import Liveness, serve

EXIT_OK: Final = 0
EXIT_WRONG_INPUT: Final = 2
EXIT_DEPENDENCY: Final = 3

_ASK_AGAIN_S: Final = 2.0

_log = structlog.get_logger("serinus.ingest")


def run_ingest(settings: IngestSettings, stop: threading.Event) -> int:
    """Run until ``stop`` is set; signals are the caller's.

    Returns
    -------
    0 after a stop; 2 when the source topic must not be read as it is; 3 when the broker refused a record for good or
    failed fatally. After anything but 0 nothing more was committed, and a restart counts everything again.
    """
    metrics, liveness = IngestMetrics(), Liveness()
    if settings.http_port is not None:
        try:
            serve(metrics.registry, liveness, host=settings.http_host, port=settings.http_port)
        except OSError as error:
            address = f"{settings.http_host}:{settings.http_port}"
            _log.error(
                "ingest cannot listen for HTTP; choose another ingest_http_port", address=address, problem=str(error)
            )
            return EXIT_WRONG_INPUT
    topic_id = _wait_for_topic(settings, stop, liveness)
    if topic_id is None:
        return EXIT_OK
    loop = IngestLoop(settings, topic_id, metrics, liveness)
    try:
        loop.run(stop)
    except CreateTimeError as error:
        _log.error("ingest refuses the topic", problem=str(error))
        return EXIT_WRONG_INPUT
    except DeliveryError as error:
        metrics.delivery_failed()
        _log.error("ingest ends without a commit: a record was not delivered", problem=str(error))
        return EXIT_DEPENDENCY
    except (KafkaException, TopicReplacedError, ValueError) as error:
        _log.error("ingest ends without a commit", problem=str(error))
        return EXIT_DEPENDENCY
    finally:
        loop.close()
    return EXIT_OK


def _wait_for_topic(settings: IngestSettings, stop: threading.Event, liveness: Liveness) -> str | None:
    while not stop.is_set():
        liveness.moved()
        try:
            found = topic_identity(settings)
        except KafkaException as error:
            liveness.waits_for = f"Kafka does not tell of {settings.events_topic}"
            _log.warning(
                "waiting for Kafka",
                brokers=settings.kafka.get("bootstrap.servers"),
                topic=settings.events_topic,
                problem=error.args[0].str() if isinstance(error.args[0], KafkaError) else str(error),
            )
            stop.wait(_ASK_AGAIN_S)
        else:
            liveness.waits_for = ""
            return found
    return None
