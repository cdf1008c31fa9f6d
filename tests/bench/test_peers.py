"""The comparison with other stream processors: the topic is what it says it is, and the rest is arithmetic."""

from __future__ import annotations

from collections import Counter

import msgspec
import numpy as np
import pytest

from bench.peers.__main__ import PeerFailedError, row, run
from bench.peers.cells import Cell, add, empty, merge
from bench.peers.installed import PEERS, Peer
from bench.peers.meter import Meter
from bench.peers.shape import PANE_MS
from bench.peers.traffic import POOL, Filled, fill, key_of, packs, pool
from bench.peers_table import peers_table
from schemas import report
from schemas.event import encode_event
from streams.ingest.aggregate import aggregate
from streams.ingest.records import Records

OURS = [peer for peer in PEERS if (peer.module, peer.events) in {("on_serinus", "full"), ("on_faust", "few")}]


def test_packs_hold_the_same_events_as_the_json_records() -> None:
    """Ingest counts both alike, by key and pane, and as the truth says."""
    drawn = pool(3)
    log_ms = 3 * PANE_MS
    truth = Counter(key_of(one) for one in drawn)
    for raw in ([encode_event(one) for one in drawn], list(packs(drawn))):
        found: Counter[str] = Counter()
        for reports in aggregate([Records.of(raw, np.full(len(raw), log_ms).tolist())]):
            for cell in (cell for one in reports for cell in one.cells):
                assert cell.pane == 3
                found[f"{cell.service}|{cell.version}|{cell.segment}"] += cell.n
        assert found == truth
    assert truth.total() == POOL


def test_panes_of_the_peers_are_ours() -> None:
    """A peer's environment cannot import the format, so the number stands twice."""
    assert PANE_MS == report.PANE_MS


def test_the_cells_of_the_python_peers_merge_as_they_add() -> None:
    """Adding all events, or merging the cells of two halves, gives the same counts and sums."""
    events = [msgspec.json.decode(encode_event(one)) for one in pool(1)[:100]]

    def folded(part: list[Cell]) -> Cell:
        cell = empty()
        for one in part:
            cell = add(cell, one)
        return cell

    whole, halves = folded(events), merge(folded(events[:40]), folded(events[40:]))
    assert whole.pop("labels") == halves.pop("labels")
    assert whole == pytest.approx(halves)


def test_the_meter_times_what_comes_after_the_warm_up() -> None:
    """A quarter of the events is left out, and a topic that was not read to its end has no rate."""
    meter = Meter(100)
    assert [meter.saw(25) for _ in range(3)] == [False, False, False]
    with pytest.raises(RuntimeError, match="75 of 100"):
        meter.report({})
    assert meter.saw(25)
    said = msgspec.json.decode(meter.report({"a|v1|eu|1": 100}))
    assert said["events"] == 75
    assert said["counts"] == {"a|v1|eu|1": 100}


def test_a_peer_that_counts_wrongly_has_no_rate() -> None:
    """One event too few in one cell, and the run is refused by name of the cell."""
    said = '{"events": 1, "seconds": 1, "cpu_seconds": 1, "counts": {"a|1": 2, "b|1": 3}}'
    command = ["python3", "-c", f"print('{said}')"]
    right = Filled("topic", 5, {"a|1": 2, "b|1": 3})
    assert run(PEERS[0], command, "", right) == {"events": 1, "seconds": 1, "cpu_seconds": 1}
    with pytest.raises(PeerFailedError, match=r"b\|1"):
        run(PEERS[0], command, "", Filled("topic", 6, {"a|1": 2, "b|1": 4}))


def test_the_table_names_what_is_missing() -> None:
    """Ratios are medians over rounds, and a peer that could not be installed is said."""
    peer = Peer("other", "on_other", "some", 3.0)
    ours, theirs = (
        [{"events": n, "seconds": 1.0, "cpu_seconds": 0.5} for n in rates] for rates in ((8, 4, 9), (2, 2, 3))
    )
    found = row(peer, list(zip(ours, theirs, strict=True)))
    assert found["serinus_times_as_fast"] == 3.0
    table = peers_table({"rounds": 3, "peers": [found], "failed": {"absent": "not installed: no Java"}})
    assert "| other | 2 | 2 | 3.00 × | 250000.00 µs | 3.00 × | ≥ 3 × |" in table
    assert "absent: not installed: no Java" in table


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.parametrize("peer", OURS, ids=lambda peer: peer.module)
def test_programs_without_an_environment_of_their_own_count_right(
    peer: Peer, kafka_broker: str, topic_prefix: str
) -> None:
    """Serinus and Faust on a small topic: every cell as the truth says."""
    filled = fill(kafka_broker, f"{topic_prefix}events", 24_000)
    assert run(peer, peer.command(), kafka_broker, filled)["events"] > 0
