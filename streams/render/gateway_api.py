"""The HTTPRoute of the Kubernetes Gateway API: weights are parts of their sum, up to 1,000,000 each, so ppm fit."""

from __future__ import annotations

from typing import Any

from streams.in_force import InForce
from streams.render.groups import Group, InexpressibleError, groups, header_of, versions
from streams.render.placement import Placement, check_told_apart, metadata

RULES_MAX = 16
MATCHES_MAX = 64
"""Matches of one rule."""

MATCHES_OF_ROUTE_MAX = 128
"""Over all rules; the API server checks it by an expression that the schema's types do not carry."""


def http_route(now: InForce, placement: Placement) -> dict[str, Any]:
    """What is in force as an HTTPRoute.

    With the same path a rule that matches more headers comes first, and then the order decides. So the rule for
    everyone, which matches none, comes last wherever it stands.

    Parameters
    ----------
    placement : ``port`` is required; without a ``gateway`` the parent is the Service itself, as in a mesh.

    Raises
    ------
    InexpressibleError : no port, backends that cannot be, segments without a header, or more than an HTTPRoute holds.

    Examples
    --------
    >>> now = InForce("chat", {"v1": 999_990, "v2": 10}, "v1", epoch=7, release_id="chat-1")
    >>> for part in http_route(now, Placement("chat", port=80))["spec"]["rules"][0]["backendRefs"]:
    ...     print(part)
    {'name': 'chat-v2', 'port': 80, 'weight': 10}
    {'name': 'chat-v1', 'port': 80, 'weight': 999990}
    """
    if placement.port is None:
        raise InexpressibleError("an HTTPRoute needs the port of the Services; name it by --port")
    names = {version: _service(now, placement, version) for version in versions(now)}
    check_told_apart(names)
    found = groups(now)
    header = header_of(found, placement.segment_header)
    _check_size(found)
    parent: dict[str, Any] = {"group": "", "kind": "Service", "name": now.service}
    if placement.gateway is not None:
        *namespace, name = placement.gateway.split("/", 1)
        parent = {"name": name} | ({"namespace": namespace[0]} if namespace else {})
    spec: dict[str, Any] = {"parentRefs": [parent]}
    if placement.hostnames:
        spec["hostnames"] = list(placement.hostnames)
    spec["rules"] = [_matches(group, header) | {"backendRefs": _refs(group, names, placement.port)} for group in found]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata(now, placement.name, placement.namespace),
        "spec": spec,
    }


def _service(now: InForce, placement: Placement, version: str) -> str:
    name = placement.host_of(now.service, version)
    if "." in name:
        raise InexpressibleError(f"{name!r} is no name of a Service; say what it is: --backend '{version}=NAME'")
    return name


def _check_size(found: tuple[Group, ...]) -> None:
    sizes = [len(group.segments) or 1 for group in found]
    if len(found) > RULES_MAX or max(sizes) > MATCHES_MAX or sum(sizes) > MATCHES_OF_ROUTE_MAX:
        raise InexpressibleError(
            f"it has {len(found)} rules that match up to {max(sizes)} segments, {sum(sizes)} in all; an HTTPRoute "
            f"holds {RULES_MAX} rules, {MATCHES_MAX} matches in each, {MATCHES_OF_ROUTE_MAX} in all"
        )


def _matches(group: Group, header: str) -> dict[str, Any]:
    if not group.segments:
        return {}
    return {"matches": [{"headers": [{"name": header, "value": segment}]} for segment in group.segments]}


def _refs(group: Group, names: dict[str, str], port: int) -> list[dict[str, Any]]:
    return [{"name": names[version], "port": port, "weight": share} for version, share in group.shares_ppm.items()]
