"""`serinus route render`: what is in force as a document for a gateway, a mesh, a model server or a flag service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

import click
import msgspec

from streams.cli.options import json_option, settings_option
from streams.cli.output import print_json, yaml_text
from streams.in_force import InForce, decode_in_force, read_in_force
from streams.render.flagd import flags
from streams.render.gateway_api import http_route
from streams.render.groups import InexpressibleError, named_by_attributes
from streams.render.istio import virtual_service
from streams.render.kserve import inference_service, lost_to_rounding
from streams.render.placement import BACKEND, Placement
from streams.settings_load import Loaded

_KUBERNETES = {"name", "namespace"}
_ROUTED = _KUBERNETES | {"backend", "port", "gateway", "hostname", "segment"}
TAKES = {
    "gateway-api": _ROUTED,
    "istio": _ROUTED | {"subset"},
    "kserve": _KUBERNETES | {"latest"},
    "flagd": {"name", "segment"},
}
"""Which options mean something to a target; any other that is given was meant for something that will not happen."""


@click.command()
@click.argument("service")
@click.option("--to", "target", type=click.Choice(list(TAKES)), required=True, help="Who is to be told.")
@click.option("--fallback", metavar="VERSION", help="Who serves while there is no route; not with --input.")
@click.option(
    "--input", "source", type=click.File("rb"), metavar="FILE", help="What `route watch` gave, - from stdin; no Kafka."
)
@click.option("--name", metavar="NAME", help="Of the object, or key of the flag; otherwise the service.")
@click.option("--namespace", metavar="NAME", help="Of the object.")
@click.option(
    "--backend",
    "backends",
    multiple=True,
    metavar="TEMPLATE|VERSION=NAME",
    help="A version's Service; otherwise {service}-{version}. VERSION=NAME is for one of them.",
)
@click.option("--subset", metavar="TEMPLATE", help="A version's subset, such as {version}, for Istio.")
@click.option("--port", type=click.IntRange(1, 65_535), help="Of the Services.")
@click.option("--gateway", metavar="[NAMESPACE/]NAME", help="Where requests enter; otherwise requests in the mesh.")
@click.option("--hostname", "hostnames", multiple=True, metavar="NAME", help="That the route is for; may be repeated.")
@click.option("--segment", metavar="NAME", help="Header, or attribute for flagd, that carries a request's segment.")
@click.option("--latest", metavar="VERSION", help="What the newest revision runs, for KServe.")
@json_option
@settings_option
def render(loaded: Loaded, service: str, target: str, as_json: bool, **given: Any) -> None:
    """Print what is in force for a service as a document that others understand.

    It is of this moment: `serinus route watch SERVICE --exec` renders again at each change. What the target cannot say
    is an error, and nothing is printed then.
    """
    _refuse_what_means_nothing(target, given)
    now = _now(loaded, service, given["fallback"], given["source"])
    try:
        document = _document(now, target, given)
    except InexpressibleError as error:
        raise click.ClickException(f"the route of {service} cannot be said to {target}: {error}") from error
    if named := named_by_attributes(now):
        click.echo(
            f"{', '.join(named)}: routers name this by attributes; what sets {given['segment']} must too", err=True
        )
    if target == "kserve" and (lost := lost_to_rounding(now)):
        click.echo(f"{service}: {lost}", err=True)
    if as_json:
        print_json(document)
    else:
        click.echo(yaml_text(document), nl=False)


def _refuse_what_means_nothing(target: str, given: dict[str, Any]) -> None:
    options = {"backends": "backend", "hostnames": "hostname"}
    for name, value in given.items():
        option = options.get(name, name)
        if value and option not in TAKES[target] | {"fallback", "source"}:
            raise click.UsageError(f"--{option} means nothing to {target}")


def _now(loaded: Loaded, service: str, fallback: str | None, source: BinaryIO | None) -> InForce:
    if source is None:
        if fallback is None:
            raise click.UsageError("--fallback is missing: who serves while there is no route?")
        return read_in_force(loaded.settings, service, fallback)
    try:
        now = decode_in_force(source.read())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise click.ClickException(f"--input is not what `serinus route watch` prints: {error}") from error
    if now.service != service:
        raise click.ClickException(f"--input is for {now.service}, not for {service}")
    return now


def _document(now: InForce, target: str, given: dict[str, Any]) -> dict[str, Any]:
    name = given["name"] or now.service
    if target == "flagd":
        return flags(now, flag=name, segment=given["segment"])
    if target == "kserve":
        if given["latest"] is None:
            raise click.UsageError("--latest is missing: which version does the newest revision run?")
        return inference_service(now, latest=given["latest"], name=name, namespace=given["namespace"])
    placement = _placement(name, given)
    return http_route(now, placement) if target == "gateway-api" else virtual_service(now, placement)


def _placement(name: str, given: dict[str, Any]) -> Placement:
    words: Sequence[str] = given["backends"]
    templates = [word for word in words if "=" not in word]
    if len(templates) > 1:
        raise click.UsageError(f"--backend: found the templates {', '.join(templates)}; allowed is one")
    return Placement(
        name,
        given["namespace"],
        templates[0] if templates else BACKEND,
        dict(word.rsplit("=", 1) for word in words if "=" in word),
        given["subset"],
        given["port"],
        given["gateway"],
        given["hostnames"],
        given["segment"],
    )
