"""``python -m tests.fuzz.http``: schemathesis against the worker's HTTP interface and its OpenAPI document.

With the token of an operator, with that of a viewer, and without one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
TOKENS: Final = {"viewer": "viewer-token-0123456789", "operator": "operator-token-0123456789"}
_TIMEOUT_S: Final = 3600


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The URL of a worker's HTTP interface that asks for tokens."""
    tokens = folder / "tokens"
    tokens.write_text("".join(f"{role} {role} {token}\n" for role, token in TOKENS.items()))
    command = [sys.executable, "-m", "tests.fuzz.http_server", "--tokens", str(tokens)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
            assert server.poll() is None, "the worker has ended"
        finally:
            server.kill()


def fuzz(url: str, role: str | None, *, examples: int, seed: int, phases: Sequence[str]) -> tuple[bool, str]:
    """Whether all checks hold, and what schemathesis says.

    Parameters
    ----------
    role : whose token is sent; None for none.
    examples : for each operation and phase, at most.
    phases : of schemathesis.
    """
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(HERE / "schemathesis.toml"), "run"),
        # The stream of events has no end.
        *(f"{url}/v1/openapi.json", "--exclude-path", "/v1/stream", "--no-color", "--continue-on-failure"),
        *("--max-examples", str(examples), "--seed", str(seed), "--phases", ",".join(phases)),
        *("--request-timeout", "30", "--suppress-health-check", "all", "--warnings", "off"),
    ]
    if role is not None:
        command += ["--header", f"Authorization: Bearer {TOKENS[role]}"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    return done.returncode == 0, done.stdout + done.stderr


def main() -> int:
    """0 when all checks hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.http", description=__doc__)
    parser.add_argument("--examples", type=int, default=300, help="for each operation and phase")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as url:
        for role in ("operator", "viewer", None):
            phases = ("coverage", "fuzzing", "stateful")
            held, said = fuzz(url, role, examples=given.examples, seed=given.seed, phases=phases)
            failed += not held
            print(f"=== {role or 'no token'}\n{said}", flush=True)
    return min(1, failed)


if __name__ == "__main__":
    sys.exit(main())
