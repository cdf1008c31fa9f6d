"""Runs every benchmark one after another and writes the tables of bench/README.md: `make bench`."""

from __future__ import annotations

import subprocess
import sys

from bench import tables

BENCHMARKS = ("bench.ingest", "bench.latency", "bench.decisions", "bench.nab", "bench.judgement")


def main() -> int:
    """Run all; 1 when one of them failed, after the others have run."""
    failed = [name for name in BENCHMARKS if subprocess.run([sys.executable, "-m", name], check=False).returncode]
    tables.write()
    for name in failed:
        print(f"{name} failed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
