"""`serinus hooks`."""

from __future__ import annotations

import threading
from pathlib import Path

import click
import structlog
from confluent_kafka import KafkaException

from streams.cli.options import parent_option, settings_option
from streams.cli.table import EXIT_DONE
from streams.hooks.courier import Courier
from streams.hooks.follower import Follower
from streams.hooks.metrics import HookMetrics
from streams.hooks.signature import read_keys
from streams.kafka import UnreachableError, wait_for_broker
from streams.kafka_reader import bounds
from streams.probes import Liveness, serve
from streams.settings import Settings
from streams.settings_load import Loaded, SettingsError
from streams.supervisor import follow_parent, stop_on_signals
from streams.topics import DECISIONS

_log = structlog.stdlib.get_logger("serinus.hooks")


@click.command()
@click.option(
    "--from-beginning",
    is_flag=True,
    help="At the very first start: also what was decided before it, up to hooks_age_max ago.",
)
@settings_option
@parent_option
def hooks(loaded: Loaded, parent: int | None, from_beginning: bool) -> int:
    """Carry out the hooks of decisions until Ctrl-C: call webhooks, run commands, as the settings allow."""
    stop = threading.Event()
    stop_on_signals(stop)
    follow_parent(parent)
    settings = loaded.settings
    keys = read_keys(Path(settings.hooks_secret_file)) if settings.hooks_secret_file else ()
    metrics, liveness = HookMetrics(), Liveness()
    if not wait_for_broker(settings, stop):
        return EXIT_DONE
    _listen(settings, metrics, liveness)
    bounds(settings, settings.topic(DECISIONS))  # says what to do when the topic is missing
    if not settings.calls_out:
        _log.warning("nothing may be called: hooks_allow, hooks_webhooks and hooks_commands are empty")
    elif not keys:
        _log.info("webhooks are not signed: hooks_secret_file is not set")
    with Courier(metrics, keys=keys, timeout_s=int(settings.hooks_timeout) / 1000) as courier:
        follower = Follower(settings, courier, metrics, liveness, from_beginning=from_beginning)
        _log.info("hooks are carried out", brokers=settings.brokers, port=settings.hooks_http_port)
        try:
            follower.run(stop)
        except KafkaException as error:
            raise UnreachableError(f"Kafka at {settings.brokers}: {error.args[0].str()}") from error
    return EXIT_DONE


def _listen(settings: Settings, metrics: HookMetrics, liveness: Liveness) -> None:
    try:
        serve(metrics.registry, liveness, host=settings.http_host, port=settings.hooks_http_port)
    except OSError as error:
        where = f"{settings.http_host}:{settings.hooks_http_port}"
        raise SettingsError(f"hooks_http_port: cannot listen at {where}: {error.strerror}") from error
