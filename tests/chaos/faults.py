"""What is done to the processes: `kill -9` and a new start, or SIGSTOP and SIGCONT; and how soon judgement went on."""

from __future__ import annotations

import random
import signal
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import NamedTuple

from tests.chaos.brokers import Brokers
from tests.chaos.load import Load
from tests.chaos.monitor import Monitor
from tests.e2e.pipeline import Pipeline, Process, wait_for

KINDS = ("kill", "pause")
TARGETS = ("ingest", "worker", "broker", "controller")
PAUSE_S = (2.0, 8.0)
DOWN_S_MAX = 10.0
"""Who is killed comes back when judgement has resumed without it, or after this long: so the spare is measured."""
RESUMED_S_MAX = 60.0
_KEEPS_PACE_S_MAX = 120.0
_SERVING_S_MAX = 90.0


class Outcome(NamedTuple):
    """A fault, whom it hit, and the seconds from `kill -9` or SIGCONT until all services and partitions were judged."""

    kind: str
    target: str
    who: str
    resumed_s: float


class Victim(NamedTuple):
    """A process of any kind, and what can be done to it."""

    who: str
    kill: Callable[[], None]
    restart: Callable[[], None]
    signal: Callable[[signal.Signals], None]


class Keeper:
    """Starts a process that ends by itself again after half a second, as `serinus up` does; a context manager."""

    def __init__(self, processes: Iterable[Process]) -> None:
        self.ended: list[tuple[str, int]] = []
        self._processes = list(processes)
        self._ours: set[str] = set()
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper")

    def _run(self) -> None:
        while not self._stop.wait(0.5):
            with self._lock:
                for process in self._processes:
                    code = process.popen.poll()
                    if code is not None and process.log.name not in self._ours:
                        self.ended.append((process.log.name, code))
                        process.restart()

    def kill(self, process: Process) -> None:
        """`kill -9`; it stays down until :meth:`restart`."""
        with self._lock:
            self._ours.add(process.log.name)
            process.kill()

    def restart(self, process: Process) -> None:
        with self._lock:
            process.restart()
            self._ours.discard(process.log.name)

    def __enter__(self) -> Keeper:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(10)


class Chaos:
    """Faults, one after another, each after judgement has resumed from the one before.

    Parameters
    ----------
    groups : the processes of "ingest" and of "worker".
    seed : of the order, of whom a fault hits, and of how long a pause is.
    behind_s_max : a fault strikes when judgement is at most this far behind, so that each recovery is its own.
    """

    def __init__(
        self,
        cluster: Brokers,
        running: Pipeline,
        groups: dict[str, list[Process]],
        load: Load,
        monitor: Monitor,
        *,
        seed: int,
        behind_s_max: float,
    ) -> None:
        self.cluster, self.running, self.groups, self.load, self.monitor = cluster, running, groups, load, monitor
        self.keeper = Keeper(process for group in groups.values() for process in group)
        self.outcomes: list[Outcome] = []
        self._random, self._behind_s_max = random.Random(seed), behind_s_max

    def run(self, faults: int) -> None:
        """Strike; each pair of kind and target comes once before any comes again."""
        with self.keeper:
            for _, (kind, target) in zip(range(faults), self._deck(), strict=False):
                # Two brokers at once are more than three copies of which two must be written can bear.
                if target in {"broker", "controller"}:
                    wait_for(self.cluster.serving, _SERVING_S_MAX, what="all copies in sync", dump=self.running.logs)
                self._wait_for_pace()
                outcome = self._strike(kind, target)
                self.outcomes.append(outcome)
                print(f"{kind} {outcome.target} ({outcome.who}): resumed after {outcome.resumed_s:.1f} s", flush=True)
            wait_for(self.cluster.serving, _SERVING_S_MAX, what="all copies in sync", dump=self.running.logs)

    def _wait_for_pace(self) -> None:
        until_s = time.monotonic() + _KEEPS_PACE_S_MAX
        while self._resumed_s(self.load.sent.copy(), self._behind_s_max) is None:
            assert time.monotonic() < until_s, f"judgement does not keep pace with the load\n{self.running.logs()}"

    def _deck(self) -> Iterator[tuple[str, str]]:
        while True:
            pairs = [(kind, target) for kind in KINDS for target in TARGETS]
            self._random.shuffle(pairs)
            yield from pairs

    def _strike(self, kind: str, target: str) -> Outcome:
        victim = self._victim(target)
        if kind == "kill":
            sent, struck_s = self.load.sent.copy(), time.monotonic()
            victim.kill()
            resumed_s = self._resumed_s(sent, DOWN_S_MAX)
            victim.restart()
        else:
            victim.signal(signal.SIGSTOP)
            time.sleep(self._random.uniform(*PAUSE_S))
            sent, struck_s = self.load.sent.copy(), time.monotonic()
            victim.signal(signal.SIGCONT)
            resumed_s = None
        resumed_s = resumed_s or self._resumed_s(sent, RESUMED_S_MAX)
        assert resumed_s, f"not judged within {RESUMED_S_MAX:.0f} s of {kind} {victim.who}\n{self.running.logs()}"
        return Outcome(kind, target, victim.who, max(0.0, resumed_s - struck_s))

    def _victim(self, target: str) -> Victim:
        if target in self.groups:
            process = self._random.choice(self.groups[target])
            kill, restart = partial(self.keeper.kill, process), partial(self.keeper.restart, process)
            return Victim(process.log.stem, kill, restart, process.popen.send_signal)
        leads = self.cluster.controller()
        others = [node for node in self.cluster.nodes if node != leads]
        node = leads if target == "controller" else self._random.choice(others)
        return Victim(
            f"node {node}", partial(self.cluster.kill, node), self.cluster.restart, partial(self.cluster.signal, node)
        )

    def _resumed_s(self, sent: Counter[tuple[str, str]], timeout_s: float) -> float | None:
        """When later requests than these were counted, of everything (monotonic); None: not in time."""
        until_s = time.monotonic() + timeout_s
        while (found_s := self.monitor.resumed_s(sent)) is None and time.monotonic() < until_s:
            time.sleep(0.1)
        return found_s


def report(outcomes: Iterable[Outcome]) -> str:
    """How often each fault was hit, and how long it took until judgement had resumed."""
    found: dict[tuple[str, str], list[float]] = {}
    for outcome in outcomes:
        found.setdefault((outcome.kind, outcome.target), []).append(outcome.resumed_s)
    lines = ["| fault | target | hits | resumed after, median | max |", "|---|---|---|---|---|"]
    lines += [
        f"| {kind} | {target} | {len(times)} | {statistics.median(times):.1f} s | {max(times):.1f} s |"
        for (kind, target), times in sorted(found.items())
    ]
    return "\n".join(lines)
