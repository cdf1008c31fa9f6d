"""The worker's HTTP interface keeps what its OpenAPI document says, whatever is asked; ingest's answers anything."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from random import Random
from urllib.parse import urlsplit

import pytest
from prometheus_client import CollectorRegistry

from streams.probes import Liveness
from streams.probes import serve as serve_ingest
from streams.worker.app import HTTP_BODY_BYTES_MAX
from tests.fuzz.http import TOKENS, fuzz, served
from tests.fuzz.mutations import scrambled


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("http")) as found:
        yield found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("role", "phases"), [("operator", ("coverage",)), ("viewer", ("fuzzing",)), (None, ("fuzzing",))]
)
def test_the_document_is_kept(url: str, role: str | None, phases: tuple[str, ...]) -> None:
    """No 5xx but 503, the types that the document names, and nothing that it calls wrong is taken."""
    held, said = fuzz(url, role, examples=2, seed=1, phases=phases)
    assert held, said


def asked(url: str, raw: bytes) -> bytes:
    """What a server answers to these bytes; nothing, when it only closes the connection."""
    parts = urlsplit(url)
    assert parts.hostname and parts.port
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        try:
            return connection.recv(65_536)
        except ConnectionResetError:
            return b""


def test_bodies_and_headers_have_limits(url: str) -> None:
    """A body of 512 KiB at most, a header line of 8 KiB at most; the next request is answered as ever."""
    parts = urlsplit(url)
    path = "/v1/services/chat/release"
    token = {"Authorization": f"Bearer {TOKENS['operator']}"}

    def status(method: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> int:
        connection = http.client.HTTPConnection(parts.netloc, timeout=30)
        try:
            connection.request(method, path, body, token | (headers or {}))
            return connection.getresponse().status
        finally:
            connection.close()

    assert status("POST", b"x" * (HTTP_BODY_BYTES_MAX + 1)) == 413
    assert status("POST", b'{"a":' * 20_000) == 400
    assert status("POST", b"service: \xff") == 400
    assert status("GET", headers={"X-Long": "x" * 9_000}) == 400
    assert status("GET") == 200


def test_ingest_answers_whatever_is_sent() -> None:
    """Requests with their bytes scrambled: no thread dies loudly, and the next one is answered."""
    server = serve_ingest(CollectorRegistry(), Liveness(), host="127.0.0.1", port=0)
    url, draw = f"http://127.0.0.1:{server.server_port}", Random(1)
    good = [b"%s /%s HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" % pair for pair in _REQUESTS]
    try:
        for _ in range(300):
            answer = asked(url, scrambled(draw.choice(good), draw))
            # A request without a version is of HTTP 0.9, whose answers have no status.
            assert not answer.startswith(b"HTTP/") or answer.split()[1] in _ALLOWED, answer
        assert asked(url, b"GET /healthz HTTP/1.1\r\n\r\n").split()[1] == b"200"
    finally:
        server.shutdown()
        server.server_close()


_REQUESTS = [
    (b"GET", b"healthz"),
    (b"GET", b"readyz?a=b"),
    (b"GET", b"metrics"),
    (b"POST", b"x"),
    (b"HEAD", b"metrics"),
]
_ALLOWED = {b"200", b"400", b"404", b"414", b"431", b"501", b"505"}
