"""Serinus beside other stream processors: the same aggregation of the same topic in the same run.

    python -m bench.peers [--brokers HOST:PORT] [--events 1000000] [--rounds 3] [--only faust]

Writes ``bench/results/peers.json``. Peers are installed on the way, and those that cannot be are named.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

from bench.ingest import broker
from bench.peers.installed import PEERS, NotInstalledError, Peer
from bench.peers.traffic import Filled, fill

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "bench" / "results" / "peers.json"
RUN_S = 120
SHARES = {"full": 1.0, "packed": 10.0, "some": 0.1, "few": 0.024}
"""Events of each topic: slow peers get fewer, or the run would take an hour."""


Pair = tuple[dict[str, Any], dict[str, Any]]
"""What Serinus said, and what the peer said right after it."""


class PeerFailedError(Exception):
    """A peer ended badly, or counted wrongly."""


def run(peer: Peer, command: list[str], brokers: str, filled: Filled) -> dict[str, Any]:
    """One run of a peer, whose counts must be the truth."""
    with tempfile.TemporaryDirectory(prefix="serinus-peer-") as folder:
        arguments = [*command, brokers, filled.topic, str(filled.total), folder]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        try:
            done = subprocess.run(
                arguments, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=RUN_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise PeerFailedError(f"not done after {RUN_S} s") from error
    if done.returncode:
        said_last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise PeerFailedError(f"ended with {done.returncode}, its last words: {said_last}")
    try:
        said: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise PeerFailedError(f"said no result: {done.stdout[-200:]!r} {done.stderr[-500:]!r}") from error
    counts = said.pop("counts")
    wrong = {key: (counts.get(key), n) for key, n in filled.counts.items() if counts.get(key) != n}
    if wrong:
        raise PeerFailedError(
            f"{len(wrong)} of {len(filled.counts)} counts are wrong, e.g. {next(iter(wrong.items()))}"
        )
    return said


def measure(brokers: str, peers: list[Peer], *, events: int, rounds: int) -> dict[str, Any]:
    """Every peer in every round, each right after a run of Serinus: a noisy stretch slows both alike."""
    topic = f"peers-{uuid.uuid4().hex[:8]}"
    wanted = {peer.events for peer in peers}
    topics = {
        name: fill(brokers, f"{topic}.{name}", round(events * share), packed=name == "packed")
        for name, share in SHARES.items()
        if name in wanted
    }
    commands: dict[str, list[str]] = {}
    pairs: dict[str, list[Pair]] = {}
    failed: dict[str, str] = {}
    for peer in peers:
        try:
            commands[peer.name] = peer.command()
        except NotInstalledError as error:
            failed[peer.name] = f"not installed: {error}"
    ours = peers[0]
    for _ in range(rounds):
        for peer in peers:
            if peer.name in failed:
                continue
            mine = run(ours, commands[ours.name], brokers, topics[ours.events])
            try:
                said = mine if peer is ours else run(peer, commands[peer.name], brokers, topics[peer.events])
            except PeerFailedError as error:
                failed[peer.name] = str(error)
                continue
            pairs.setdefault(peer.name, []).append((mine, said))
            print(f"{peer.name}: {_rate(said):,.0f} events/s, Serinus just before: {_rate(mine):,.0f}", flush=True)
    rows = [row(peer, pairs[peer.name]) for peer in peers if peer.name in pairs and peer.name not in failed]
    return {"events": topics["full"].total, "cores": os.cpu_count(), "rounds": rounds, "peers": rows, "failed": failed}


def row(peer: Peer, pairs: list[Pair]) -> dict[str, Any]:
    """The medians of one peer. Ratios are taken within pairs: a noisy machine slows neighbours alike."""
    theirs = [said for _, said in pairs]
    faster = [_rate(mine) / _rate(said) for mine, said in pairs]
    less_cpu = [_cpu_us(said) / _cpu_us(mine) for mine, said in pairs]
    return {
        "name": peer.name,
        "events": theirs[0]["events"],
        "events_per_s": round(statistics.median(map(_rate, theirs))),
        "cpu_us_per_event": round(statistics.median(map(_cpu_us, theirs)), 3),
        "serinus_times_as_fast": round(statistics.median(faster), 2),
        "times_the_cpu_of_serinus": round(statistics.median(less_cpu), 2),
        "bar": peer.bar,
        "rounds": [(round(_rate(mine)), round(_rate(said))) for mine, said in pairs],
    }


def _cpu_us(one: dict[str, Any]) -> float:
    return float(1e6 * one["cpu_seconds"] / one["events"])


def _rate(one: dict[str, Any]) -> float:
    return float(one["events"] / one["seconds"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", help="a running Kafka; default: one of its own")
    parser.add_argument("--events", type=int, default=1_000_000, help="of the topic of the fast ones (1,000,000)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="peers whose name has one of these words; Serinus always runs")
    parser.add_argument("--result", type=Path, default=RESULT, help="where it is written")
    asked = parser.parse_args()
    words = [word.lower() for word in asked.only or [""]]
    peers = [peer for peer in PEERS if peer.bar is None or any(word in peer.name.lower() for word in words)]
    with broker(asked.brokers) as brokers:
        result = measure(brokers, peers, events=asked.events, rounds=asked.rounds)
    asked.result.parent.mkdir(parents=True, exist_ok=True)
    asked.result.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for name, reason in result["failed"].items():
        print(f"{name}: {reason}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
