"""`serinus demo`: a bad canary is rolled back and a good one promoted, from real arrivals, within a minute."""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path

import click
import msgspec
from rich.console import Console

from streams import logs
from streams.cli.options import json_option, settings_option
from streams.cli.table import EXIT_DONE, EXIT_NO
from streams.demo.display import display
from streams.demo.run import LOG, Demo, DemoError
from streams.kafka import UnreachableError
from streams.settings import Settings
from streams.settings_load import Loaded
from streams.supervisor import stop_on_signals

LOG_LINES = 15


@click.command()
@settings_option
@click.option("--broker", metavar="HOST:PORT", help="A Kafka of your own instead of the embedded broker.")
@json_option
def demo(loaded: Loaded, broker: str | None, as_json: bool) -> int:
    """Watch a bad canary being rolled back and a good one promoted; ends by itself within a minute.

    Runs on a broker of its own, or on a real Kafka (--broker, SERINUS_BROKERS), with topics of its own that it deletes.
    Exit 0 only if the good canary was promoted and the bad one rolled back.
    """
    settings = loaded.settings if broker is None else _with_broker(loaded.settings, broker)
    embedded = broker is None and loaded.sources["brokers"] == "default"
    # The table is what one watches; the processes write their logs to a file.
    logs.configure(msgspec.structs.replace(settings, log_level="error"))
    stop = threading.Event()
    stop_on_signals(stop)
    data = Path(tempfile.mkdtemp(prefix="serinus-demo-"))
    show = display(Console(), as_json=as_json)
    try:
        succeeded = Demo(settings, embedded=embedded, show=show, stop=stop).run(data).succeeded
    except DemoError as error:
        click.echo(f"serinus demo: {error}", err=True)
        succeeded = False
    except (KeyboardInterrupt, UnreachableError):
        shutil.rmtree(data, ignore_errors=True)
        raise
    if not succeeded:
        _show_log(data / LOG)
        return EXIT_NO
    shutil.rmtree(data, ignore_errors=True)
    return EXIT_DONE


def _with_broker(settings: Settings, broker: str) -> Settings:
    try:
        checked = msgspec.convert({"brokers": broker}, Settings)
    except msgspec.ValidationError as error:
        raise click.BadParameter(
            f"found {broker!r}; allowed is host:port, or several with commas between", param_hint="--broker"
        ) from error
    return msgspec.structs.replace(settings, brokers=checked.brokers)


def _show_log(path: Path) -> None:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    click.echo(f"The last lines of the pipeline's log, {path}:", err=True)
    for line in lines[-LOG_LINES:]:
        click.echo(f"  {line}", err=True)
