"""Where a document goes in Kubernetes, and which backend each version has there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streams.in_force import InForce
from streams.render.groups import InexpressibleError

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL_LENGTH_MAX = 63
BACKEND = "{service}-{version}"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*")


@dataclass(frozen=True, slots=True)
class Placement:
    """What a route does not know and Kubernetes must.

    Parameters
    ----------
    name : of the object.
    namespace : None leaves it to who applies the document.
    backend : name of a version's Service; ``{service}`` and ``{version}`` are filled in.
    backends : versions whose Service is called otherwise.
    subset : name of a version's subset in a DestinationRule; None where each version has a Service.
    port : of the Services.
    gateway : ``name`` or ``namespace/name``; None for requests within a mesh.
    hostnames : that the route is for.
    segment_header : the header that carries a request's segment.
    """

    name: str
    namespace: str | None = None
    backend: str = BACKEND
    backends: Mapping[str, str] = field(default_factory=dict)
    subset: str | None = None
    port: int | None = None
    gateway: str | None = None
    hostnames: Sequence[str] = ()
    segment_header: str | None = None

    def host_of(self, service: str, version: str) -> str:
        """The Service of a version; raises :class:`InexpressibleError` where that is no name of one.

        >>> Placement("chat").host_of("chat", "v2")
        'chat-v2'
        >>> Placement("chat").host_of("chat", "v2_rc")
        Traceback (most recent call last):
        streams.render.groups.InexpressibleError: 'chat-v2_rc' is no name of a Service; ... --backend 'v2_rc=NAME'
        """
        host = self.backends.get(version) or self.backend.replace("{service}", service).replace("{version}", version)
        # A backend that does not exist answers its share with errors; nothing else would say so before.
        if not _HOST.fullmatch(host) or max(map(len, host.split("."))) > _LABEL_LENGTH_MAX:
            raise InexpressibleError(f"{host!r} is no name of a Service; say what it is: --backend '{version}=NAME'")
        return host

    def subset_of(self, version: str) -> str | None:
        """The subset of a version, if versions are subsets."""
        return None if self.subset is None else self.subset.replace("{version}", version)


def metadata(now: InForce, name: str, namespace: str | None) -> dict[str, Any]:
    """The object's name, and as annotations what it was rendered from.

    >>> metadata(InForce("chat", {"v1": 1_000_000}, "v1", epoch=7, release_id="chat-1"), "chat", None)
    {'name': 'chat', 'annotations': {'serinus/epoch': '7', 'serinus/release-id': 'chat-1'}}
    """
    if now.epoch is None:
        source = {"serinus/fallback": now.reason}
    else:
        source = {"serinus/epoch": str(now.epoch), "serinus/release-id": now.release_id}
    return {"name": name} | ({"namespace": namespace} if namespace is not None else {}) | {"annotations": source}


def check_told_apart(destinations: Mapping[str, Any]) -> None:
    """Raise :class:`InexpressibleError` if two versions have the same destination: their shares would say nothing.

    >>> check_told_apart({"v1": "chat", "v2": "chat"})
    Traceback (most recent call last):
    streams.render.groups.InexpressibleError: v1 and v2 have the same backend chat; write {version} into its name
    """
    seen: dict[Any, str] = {}
    for version, destination in destinations.items():
        first = seen.setdefault(repr(destination), version)
        if first != version:
            raise InexpressibleError(
                f"{first} and {version} have the same backend {destination}; write {{version}} into its name"
            )
