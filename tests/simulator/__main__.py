"""``python -m tests.simulator``: many seeds, in several processes, to be gone on with after a break."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from multiprocessing import Pool

from tests.simulator.schedule import schedule
from tests.simulator.simulate import Failure, shrink, simulate


def one(seed: int) -> tuple[int, Failure | None, Counter[str]]:
    """Run one seed."""
    flavour = schedule(seed)
    return seed, simulate(flavour), Counter(step.what for step in flavour.steps)


def main() -> int:
    """0 when no invariant broke, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="the first seed; to go on, the one that was printed last")
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--stop-after", type=int, default=5, help="failing seeds")
    given = parser.parse_args()
    began_s, failed, happened = time.monotonic(), 0, Counter[str]()
    last = given.first + given.seeds - 1
    with Pool(given.processes) as pool:
        for seed, failure, steps in pool.imap(one, range(given.first, last + 1), chunksize=4):
            happened += steps
            if failure is not None:
                failed += 1
                tell(seed, failure)
            if failed >= given.stop_after:
                break
            if (seed + 1 - given.first) % 500 == 0 or seed == last:
                print(f"seeds {given.first} to {seed}: {failed} failed, {time.monotonic() - began_s:.0f} s", flush=True)
    print("steps: " + ", ".join(f"{what} {n}" for what, n in sorted(happened.items())))
    return 1 if failed else 0


def tell(seed: int, failure: Failure) -> None:
    """Print a failing seed with the shortest schedule that still fails."""
    small = shrink(schedule(seed))
    found = simulate(small)
    print(f"seed {seed}, after step {failure.step}: {failure.what}")
    print(f"as short as it gets, with another seed's luck: {found.what if found else 'nothing'}")
    print(f"Flavour({small.error_rate}, {small.names_bounded}, (")
    for step in small.steps:
        print(f"    {step},")
    print("))", flush=True)


if __name__ == "__main__":
    sys.exit(main())
