"""Istio's VirtualService: weights are parts of their sum since Istio 1.15, so ppm fit; older ones refuse them."""

from __future__ import annotations

from typing import Any

from streams.in_force import InForce
from streams.render.groups import Group, groups, header_of, versions
from streams.render.placement import Placement, check_told_apart, metadata


def virtual_service(now: InForce, placement: Placement) -> dict[str, Any]:
    """What is in force as a VirtualService, whose rules are asked in their order.

    Parameters
    ----------
    placement : without ``hostnames`` it is for the host named as the service; without a ``gateway``, for the mesh.

    Raises
    ------
    InexpressibleError : backends that cannot be, or segments without a header.

    Examples
    --------
    >>> now = InForce("chat", {"v1": 950_000, "v2": 50_000}, "v1", epoch=7, release_id="chat-1")
    >>> document = virtual_service(now, Placement("chat", backend="chat", subset="{version}"))
    >>> for part in document["spec"]["http"][0]["route"]:
    ...     print(part)
    {'destination': {'host': 'chat', 'subset': 'v2'}, 'weight': 50000}
    {'destination': {'host': 'chat', 'subset': 'v1'}, 'weight': 950000}
    """
    destinations = {version: _destination(now, placement, version) for version in versions(now)}
    check_told_apart(destinations)
    found = groups(now)
    header = header_of(found, placement.segment_header)
    spec: dict[str, Any] = {"hosts": list(placement.hostnames) or [now.service]}
    if placement.gateway is not None:
        spec["gateways"] = [placement.gateway]
    spec["http"] = [_match(group, header) | {"route": _route(group, destinations)} for group in found]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": metadata(now, placement.name, placement.namespace),
        "spec": spec,
    }


def _destination(now: InForce, placement: Placement, version: str) -> dict[str, Any]:
    destination: dict[str, Any] = {"host": placement.host_of(now.service, version)}
    if (subset := placement.subset_of(version)) is not None:
        destination["subset"] = subset
    if placement.port is not None:
        destination["port"] = {"number": placement.port}
    return destination


def _match(group: Group, header: str) -> dict[str, Any]:
    if not group.segments:
        return {}
    # Envoy knows header names in lower case alone.
    return {"match": [{"headers": {header.lower(): {"exact": segment}}} for segment in group.segments]}


def _route(group: Group, destinations: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"destination": destinations[version], "weight": share} for version, share in group.shares_ppm.items()]
