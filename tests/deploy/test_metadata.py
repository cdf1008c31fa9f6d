"""The question that tells a serving broker from an open port."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from deploy.kafka.layout import free_port
from deploy.kafka.metadata import live_ports


@contextmanager
def server(answer: Callable[[bytes], bytes]) -> Iterator[int]:
    """One connection is accepted, its request read, the answer sent, and the connection closed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(answer(connection.recv(1000)))

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(listener.getsockname()[1])
        thread.join(5)


def string(text: bytes | None) -> bytes:
    return struct.pack(">h", -1) if text is None else struct.pack(">h", len(text)) + text


def metadata_answer(request: bytes) -> bytes:
    correlation = request[8:12]
    brokers = b"".join(
        struct.pack(">i", node) + string(b"127.0.0.1") + struct.pack(">i", 9091 + node) + string(rack)
        for node, rack in ((1, None), (2, b"rack-b"))
    )
    body = correlation + struct.pack(">ii", 0, 2) + brokers + string(b"id") + struct.pack(">ii", 1, 0)
    return struct.pack(">i", len(body)) + body


def test_reads_every_live_broker() -> None:
    """The ports of all brokers are read, with and without a rack."""
    with server(metadata_answer) as port:
        assert live_ports("127.0.0.1", port) == {9092, 9093}


def test_other_programs_are_no_broker() -> None:
    """Something else on the port, a silent close, and nothing at all are told from a broker."""
    with server(lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        assert live_ports("127.0.0.1", port) is None
    with server(lambda _: b"") as port:
        assert live_ports("127.0.0.1", port) is None
    assert live_ports("127.0.0.1", free_port(1)) is None


def test_cut_answer_is_no_answer() -> None:
    """A broker that dies within its answer does not count as serving."""
    with server(lambda request: metadata_answer(request)[:-20]) as port:
        assert live_ports("127.0.0.1", port) is None
