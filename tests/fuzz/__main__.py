"""``python -m tests.fuzz``: fuzzed records for every topic that is read, in process; the real code reads them."""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz.fuzz import fuzz
from tests.fuzz.readers import TOPICS


def main() -> int:
    """0; what is not accounted for raises."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000, help="for each topic")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--topic", action="append", choices=list(TOPICS), help="instead of all; may be repeated")
    given = parser.parse_args()
    for topic in given.topic or TOPICS:
        began_s = time.process_time()
        found = fuzz(topic, given.records, given.seed)
        used_s = time.process_time() - began_s
        print(
            f"{topic}: {given.records:,} records, {used_s:.0f} s of CPU, {found.grown_mb:+.0f} MB since the first tenth"
        )
        print("   " + ", ".join(f"{what} {count:,}" for what, count in found.became.items()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
