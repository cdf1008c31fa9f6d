"""Runs every benchmark one after another and writes the tables of bench/README.md: `make bench`.

`make bench BENCH_ARGS='--releases 200'` simulates fewer releases where there are many.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from bench import tables

BENCHMARKS = (
    "bench.ingest",
    "bench.packed",
    "bench.sharing",
    "bench.peers",
    "bench.growth",
    "bench.client",
    "bench.rollback",
    "bench.latency",
    "bench.live_ramps",
    "bench.worker",
    "bench.memory",
    "bench.windows",
    "bench.decisions",
    "bench.ramps",
    "bench.nab",
    "bench.judgement",
    "bench.healthy",
    "bench.bars",
    "bench.joint",
)


def main() -> int:
    """Run all; 1 when one of them failed, after the others have run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--releases", type=int, default=2_000, help="of each healthy scenario and of each bar")
    asked = parser.parse_args()
    options = {name: ["--releases", str(asked.releases)] for name in ("bench.healthy", "bench.bars")}
    failed = [
        name
        for name in BENCHMARKS
        if subprocess.run([sys.executable, "-m", name, *options.get(name, [])], check=False).returncode
    ]
    tables.write()
    for name in failed:
        print(f"{name} failed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
