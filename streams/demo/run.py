"""The demo from beginning to end: broker, pipeline, two services, two releases, and what became of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from random import Random

import serinus
from schemas.command import Verb
from schemas.decision import Decision
from schemas.plan import Plan, parse_plan
from streams.cli.release_commands import command, write
from streams.cli.release_log import decision_of
from streams.cli.up import prepare_topics
from streams.demo.current import ask
from streams.demo.display import Display
from streams.demo.pipeline import delete_topics, demo_settings, running
from streams.demo.scene import Scene
from streams.demo.service import CASTS, Cast, Service
from streams.demo.trace import read_trace
from streams.demo.traffic import Traffic
from streams.embedded import embedded_broker
from streams.kafka import wait_for_broker
from streams.kafka_reader import Reader, bounds
from streams.settings import Settings
from streams.topics import DECISIONS

SPEED = 85.0
"""Recorded seconds per second: the hour passes in 41 s, at 690 requests/s on average."""

LIMIT_S = 53.0
"""From the beginning to the last moment at which a decision counts; what is left of the minute is for stopping."""

AFTER_S = 2.0
"""The traffic goes on this long after the last decision, so that one sees it follow."""

BROKER_WAIT_S = 10.0
LOG = "pipeline.log"
FRAME_S = 0.25
ASK_EVERY_S = 1.0


class DemoError(Exception):
    """The demo could not be shown: one sentence that says why."""


class Demo:
    """One demo.

    Parameters
    ----------
    settings : as configured: which Kafka, unless the embedded one is used.
    embedded : bring the broker along.
    show : where the demo shows itself.
    stop : ends it early.
    """

    def __init__(self, settings: Settings, *, embedded: bool, show: Display, stop: threading.Event) -> None:
        self._settings = settings
        self._embedded = embedded
        self._show = show
        self._stop = stop
        self._began_s = time.monotonic()

    def run(self, data: Path) -> Scene:
        """Run to the end.

        Parameters
        ----------
        data : an empty directory for the pipeline's files; :data:`LOG` in it holds what the processes said.

        Raises
        ------
        DemoError : the pipeline did not come up, or went away.
        KeyboardInterrupt : ``stop`` was set; everything has been stopped.
        streams.kafka.UnreachableError : there is no Kafka.
        """
        own = demo_settings(self._settings, data)
        brokers = "embedded" if self._embedded else own.brokers
        with embedded_broker(own) if self._embedded else nullcontext(own) as settings:
            if not wait_for_broker(settings, self._stop, BROKER_WAIT_S):
                raise KeyboardInterrupt
            self._show.opening(speed=SPEED, brokers=brokers)
            with _topics(settings), running(settings, data / LOG) as pipeline:
                scene = self._play(settings, pipeline)
            self._show.closing(scene, brokers=brokers, seconds=time.monotonic() - self._began_s)
        return scene

    def _play(self, settings: Settings, pipeline: threading.Thread) -> Scene:
        with ExitStack() as stack:
            services = [_service(settings, cast, stack) for cast in CASTS]
            traffic = stack.enter_context(Traffic(services))
            starts = {number: high for number, (_, high) in bounds(settings, settings.topic(DECISIONS)).items()}
            audit = stack.enter_context(Reader(settings, settings.topic(DECISIONS), starts))
            scene = Scene(services, settings.advertised_url)
            for cast in CASTS:
                write(settings, command(Verb.START, cast.name, actor="demo", reason=cast.story, plan=plan_of(cast)))
            stack.enter_context(self._show)
            self._until_decided(scene, traffic, audit, pipeline)
        return scene

    def _until_decided(self, scene: Scene, traffic: Traffic, audit: Reader, pipeline: threading.Thread) -> None:
        asked_s = ends_s = 0.0
        while True:
            if self._stop.is_set():
                raise KeyboardInterrupt
            now_s = time.monotonic()
            for message in audit.poll(FRAME_S):
                record = decision_of(message)
                if isinstance(record, Decision):
                    scene.add(record)
                    self._show.decision(record)
            if scene.started and not traffic.now_s:
                traffic.begin()
            if now_s - asked_s >= ASK_EVERY_S:
                asked_s = now_s
                for release in scene.releases:
                    ask(scene.url, release)
            self._show.passing(scene, traffic.now_s)
            if scene.decided:
                ends_s = ends_s or now_s + AFTER_S
                if now_s >= ends_s:
                    return
            elif now_s - self._began_s >= LIMIT_S:
                return
            if not pipeline.is_alive():
                raise DemoError("the pipeline behind the demo has ended")


def plan_of(cast: Cast) -> Plan:
    """The plan of one of the demo's releases."""
    path = Path(__file__).with_name("plans") / f"{cast.name}.yaml"
    return parse_plan(path.read_text(encoding="utf-8"), file=path.name)


def _service(settings: Settings, cast: Cast, stack: ExitStack) -> Service:
    """A service with the real client library, as its owner would set it up."""
    router = serinus.Router(
        service=cast.name,
        fallback=cast.baseline,
        brokers=settings.brokers,
        config=settings.kafka,
        topic_prefix=settings.topic_prefix,
    )
    emitter = serinus.Emitter(
        service=cast.name, brokers=settings.brokers, config=settings.kafka, topic_prefix=settings.topic_prefix
    )
    stack.callback(router.close)
    stack.callback(emitter.close)
    return Service(cast, read_trace(cast.trace), speed=SPEED, router=router, emit=emitter.emit, rng=Random())


@contextmanager
def _topics(settings: Settings) -> Iterator[None]:
    """The demo's topics: made before, and taken away afterwards where somebody else's Kafka was used."""
    prepare_topics(settings, threading.Event())
    try:
        yield
    finally:
        if not settings.embedded:
            delete_topics(settings)
