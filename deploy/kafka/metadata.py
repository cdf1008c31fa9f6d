"""Asks a broker who is in the cluster, in Kafka's own protocol, with nothing but a socket.

A port that accepts connections says little: the broker may still be replaying its log or waiting for a
quorum. A broker that lists all others serves clients.
Protocol: Apache Kafka protocol guide, "Metadata API (Key: 3)", version 4.
"""

from __future__ import annotations

import socket
import struct

_METADATA = 3
_VERSION = 4
_CORRELATION = 7


def live_ports(host: str, port: int, *, timeout_s: float = 2.0) -> set[int] | None:
    """The client ports of all live brokers, as one broker knows them.

    Parameters:
        host: host of the broker that is asked.
        port: port of the broker that is asked.
        timeout_s: seconds to wait for each step, > 0.

    Returns:
        The ports, or None when nothing there answers as a Kafka broker does.
    """
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as connection:
            connection.sendall(_request())
            size = struct.unpack(">i", _read(connection, 4))[0]
            return _ports(_read(connection, size)) if 0 < size < 1_000_000 else None
    except (OSError, EOFError, struct.error):
        return None


def _request() -> bytes:
    client = b"serinus-local"
    header = struct.pack(f">hhih{len(client)}s", _METADATA, _VERSION, _CORRELATION, len(client), client)
    # No topics, and none created: only the brokers are asked for.
    body = struct.pack(">i?", 0, False)
    return struct.pack(">i", len(header) + len(body)) + header + body


def _read(connection: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = connection.recv(count - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def _ports(answer: bytes) -> set[int] | None:
    correlation, _throttle_ms, count = struct.unpack_from(">iii", answer, 0)
    if correlation != _CORRELATION:
        return None
    at, ports = 12, set()
    for _ in range(count):
        at += 4  # node id
        at = _skip_string(answer, at)  # host
        ports.add(struct.unpack_from(">i", answer, at)[0])
        at = _skip_string(answer, at + 4)  # rack
    return ports


def _skip_string(answer: bytes, at: int) -> int:
    # A length of -1 means null.
    return int(at + 2 + max(0, struct.unpack_from(">h", answer, at)[0]))
