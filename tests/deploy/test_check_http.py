"""The health check of the containers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from deploy.docker.check_http import main


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(5)


def test_healthy_only_if_the_answer_says_so(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """200 is healthy; 503 and nobody there are not, and the reason is said."""
    assert main(f"{url}/healthz") == 0
    assert main(f"{url}/other") == 1
    assert "503" in capsys.readouterr().err
    assert main("http://127.0.0.1:9/") == 1
    assert "refused" in capsys.readouterr().err
