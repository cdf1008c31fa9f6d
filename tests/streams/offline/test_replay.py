from __future__ import annotations

import base64
import gzip
import json
import random
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from schemas.decision import Decision
from schemas.inputs import Forwarded, Input, Tick, encode_input
from schemas.report import SLICE_MS, Report
from serinus.event import Emitted, EventEncoder
from serinus.packer import Packer
from streams.cli import cli
from streams.ingest.aggregate import Aggregator
from streams.ingest.records import Records
from streams.offline.event_files import read_lines
from streams.offline.recorded import Recorded, encode_recorded, recorded
from streams.offline.replay import replay, replay_inputs
from streams.worker.fold import fold, input_of, named_in, start_service
from tests.streams.offline.worlds import PLAN, plan
from tests.streams.worker.inputs_log import start_command

START_MS = 1_763_632_800_123


def events(*, seconds: int = 90, canary_errors: float = 0.01, service: str = "chat") -> list[dict[str, object]]:
    """Fifty events a second, one in five of the canary."""
    draw = random.Random(3)
    made: list[dict[str, object]] = []
    for number in range(50 * seconds):
        version = "v2" if draw.random() < 0.2 else "v1"
        error = draw.random() < (canary_errors if version == "v2" else 0.01)
        latency = draw.lognormvariate(5, 0.5)
        at_ms = START_MS + number * 20
        made.append({"service": service, "version": version, "ts_ms": at_ms, "error": error, "latency_ms": latency})
    return made


def write(path: Path, lines: list[bytes]) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def encoded(made: list[dict[str, object]]) -> list[bytes]:
    return [json.dumps(event).encode() for event in made]


def told(path: Path, *more: Path) -> list[Decision]:
    decisions: list[Decision] = []
    replay(read_lines([path, *more]), plan(), decisions.append)
    return decisions


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["replay", *words], prog_name="serinus", catch_exceptions=False)


def test_a_release_starts_at_the_first_event_and_is_decided(tmp_path: Path) -> None:
    """Recorded events of a good canary promote it, of a bad one roll it back, by the log times of the events."""
    good = told(write(tmp_path / "good", encoded(events())))
    assert [decision.action.value for decision in good] == ["start", "advance", "promote"]
    assert good[0].at_ms == START_MS and good[1].at_ms - good[0].at_ms >= 20_000
    bad = told(write(tmp_path / "bad", encoded(events(canary_errors=0.4))))
    assert bad[-1].state.value == "rolled_back" and bad[-1].evidence


def test_recorded_units_are_what_is_counted(tmp_path: Path) -> None:
    """The same events with units are judged by unit, and each decision that compares says so."""
    made = [one | {"unit": f"u{number % 400}"} for number, one in enumerate(events(canary_errors=0.4))]
    by_unit = told(write(tmp_path / "units", encoded(made)))[-1]
    by_request = told(write(tmp_path / "requests", encoded(events(canary_errors=0.4))))[-1]
    assert by_unit.state.value == by_request.state.value == "rolled_back"
    assert "counted by unit" in by_unit.reason
    assert "counted by unit" not in by_request.reason


def test_files_are_one_log_however_they_are_cut_and_packed(tmp_path: Path) -> None:
    """Plain or gzipped, whole or in parts: the same decisions."""
    lines = encoded(events())
    whole = told(write(tmp_path / "whole", lines))
    packed = tmp_path / "part.bin"
    packed.write_bytes(gzip.compress(b"\n".join(lines[:1234])))
    assert told(packed, write(tmp_path / "rest", lines[1234:])) == whole


def test_silence_is_judged_by_the_clock(tmp_path: Path) -> None:
    """A hole in the recording is time without data: the release holds and is at last rolled back without evidence."""
    made = events(seconds=5) + [event | {"ts_ms": START_MS + 3_600_000} for event in events(seconds=1)]
    decisions = told(write(tmp_path / "hole", encoded(made)))
    assert [decision.action.value for decision in decisions] == ["start", "hold", "rollback"]
    assert decisions[-1].at_ms - START_MS < 16 * 60_000 and decisions[-1].verdict.value == "NO_DATA"


def test_bad_lines_are_counted_with_their_reason(tmp_path: Path) -> None:
    """What is not an event is dead with a reason and stops nothing, a time of next year included."""
    lines = encoded(events())
    far = json.dumps(events(seconds=1)[0] | {"ts_ms": START_MS + 400 * 86_400_000}).encode()
    lines[100:100] = [b"garbage", b'{"service":"chat"}', far]
    plan_file = write(tmp_path / "plan.yaml", [PLAN.encode()])
    result = run(str(write(tmp_path / "e", lines)), "--plan", str(plan_file), "--json")
    *decisions, summary = (json.loads(line) for line in result.stdout.splitlines())
    assert result.exit_code == 0 and {one["type"] for one in decisions} == {"decision"}
    assert (summary["type"], summary["state"]) == ("summary", "promoted")
    assert (summary["events"], summary["dead"], sum(summary["requests"].values())) == (4500, 3, 4500)
    assert summary["dead_reasons"] == {
        "missing field": 1,
        "not JSON": 1,
        "ts_ms more than 5 minutes after the log time": 1,
    }


def test_other_services_start_nothing(tmp_path: Path) -> None:
    """In a recording of several services the release waits for its own; the others are counted as events only."""
    early = [event | {"ts_ms": START_MS - 600_000} for event in events(seconds=2, service="other")]
    file = write(tmp_path / "e", encoded([*early, *events()]))
    both, own = told(file), told(write(tmp_path / "own", encoded(events())))
    assert [(one.at_ms, one.reason) for one in both] == [(one.at_ms, one.reason) for one in own]
    alone = run(str(write(tmp_path / "other", encoded(early))), "--plan", str(write(tmp_path / "p", [PLAN.encode()])))
    assert alone.exit_code == 1 and "never started" in alone.stdout and "100 events" in alone.stdout


def test_a_rollback_is_exit_1_and_names_its_cause(tmp_path: Path) -> None:
    """The exit code says no; people read who decided and how much was read."""
    plan_file = write(tmp_path / "plan.yaml", [PLAN.encode()])
    file = write(tmp_path / "e", encoded(events(canary_errors=0.4)))
    result = run(str(file), "--plan", str(plan_file))
    assert result.exit_code == 1 and "rolled_back by error_rate" in result.stdout
    summary = json.loads(run(str(file), "--plan", str(plan_file), "--json").stdout.splitlines()[-1])
    assert summary["decided_by"] == {"metric": "error_rate", "segment": "", "detector": "evalue-2x2"}


def test_files_that_cannot_be_read_are_exit_2(tmp_path: Path) -> None:
    """No file, no line, and a recording that is broken in the middle each say where and what."""
    plan_file = str(write(tmp_path / "plan.yaml", [PLAN.encode()]))
    broken = [encode_recorded(recorded("t", partition=0, offset=0, ts=1, value=b"{}")), b"{}"]
    for file in (tmp_path / "none", write(tmp_path / "empty", []), write(tmp_path / "broken", broken)):
        result = run(str(file), "--plan", plan_file)
        assert result.exit_code == 2 and str(file) in result.stderr and len(result.stderr.splitlines()) == 1
    assert ":2:" in result.stderr


class Live:
    """A pipeline in memory: events on two partitions, appended later than they happened, reported in pieces."""

    def __init__(self, made: list[dict[str, object]]) -> None:
        draw = random.Random(5)
        self.appended: list[tuple[int, int, int, bytes]] = []
        self.inputs: list[tuple[Input, int]] = []
        offsets = [0, 0]
        now_ms = START_MS
        for event in made:
            at_ms = event["ts_ms"]
            assert isinstance(at_ms, int)
            now_ms = max(now_ms, at_ms + draw.randrange(60))
            source = draw.randrange(2)
            self.appended.append((now_ms, source, offsets[source], json.dumps(event).encode()))
            offsets[source] += 1
        self._report()

    def _report(self) -> None:
        """Ingest flushes some times a second, at moments that no slice knows of; the worker ticks."""
        aggregator = Aggregator("live")
        command = msgspec.structs.replace(start_command(), plan=plan())
        self.inputs.append((Forwarded(command), START_MS))
        position, at_ms = 0, START_MS
        while position < len(self.appended):
            at_ms += 90
            end = position
            while end < len(self.appended) and self.appended[end][0] < at_ms:
                end += 1
            if end > position:
                closed, _ = aggregator.add(_columns(self.appended[position:end]))
                for part in (*closed, *aggregator.flush()):
                    self.inputs += [(report, at_ms + 3) for report in part]
            if at_ms // 1000 != (at_ms - 90) // 1000:
                self.inputs.append((Tick("w"), at_ms + 4))
            position = end

    def decisions(self) -> list[Decision]:
        service = start_service("chat", 0, START_MS)
        found: list[Decision] = []
        for offset, (record, log_ms) in enumerate(self.inputs):
            item = input_of(record, named_in(record), offset=offset, log_ms=log_ms, service="chat")
            if item is not None:
                service, effects = fold(service, item)
                found += [effect.decision for effect in effects if hasattr(effect, "decision")]
        return found


def _columns(rows: list[tuple[int, int, int, bytes]]) -> Records:
    log_ms, source, offset, raw = zip(*rows, strict=True)
    return Records(list(raw), np.array(source), np.array(offset), np.array(log_ms))


@pytest.mark.parametrize("canary_errors", [0.01, 0.2])
def test_recorded_inputs_give_exactly_the_decisions_of_then(tmp_path: Path, canary_errors: float) -> None:
    """A recording of `canary.inputs` replays every decision to the last digit: times, epochs, evidence."""
    live = Live(events(canary_errors=canary_errors))
    lines = [
        encode_recorded(recorded("x.canary.inputs", partition=2, offset=at, ts=log_ms, value=encode_input(record)))
        for at, (record, log_ms) in enumerate(live.inputs)
    ]
    replayed: list[Decision] = []
    file = write(tmp_path / "inputs", lines)
    summary = replay_inputs(read_lines([file]), plan(), replayed.append)
    assert replayed == live.decisions() and replayed[-1].state.final
    assert sum(summary.requests.values()) == len(live.appended)
    plan_file = write(tmp_path / "plan.yaml", [PLAN.encode()])
    shown = run(str(file), "--plan", str(plan_file), "--json").stdout.splitlines()
    assert [json.loads(line)["epoch"] for line in shown[:-1]] == [decision.epoch for decision in replayed]


@pytest.mark.parametrize("canary_errors", [0.01, 0.2])
def test_recorded_events_give_the_same_actions_states_and_verdicts(tmp_path: Path, canary_errors: float) -> None:
    """Events with their append times, in whatever order the partitions were read, replay to the same decisions."""
    live = Live(events(canary_errors=canary_errors))
    lines = [
        encode_recorded(recorded("inference.events", partition=source, offset=offset, ts=log_ms, value=raw))
        for source, offset, log_ms, raw in sorted((b, c, a, d) for a, b, c, d in live.appended)
    ]
    replayed = told(write(tmp_path / "events", lines))
    assert _story(replayed) == _story(live.decisions())
    assert replayed[-1].through == live.decisions()[-1].through or canary_errors == 0.01


def _story(decisions: list[Decision]) -> list[tuple[str, str, str]]:
    return [(one.action.value, one.state.value, one.verdict.value) for one in decisions]


def emitted(event: dict[str, Any]) -> Emitted:
    """The arguments of the `emit` that made an event."""
    plain = Emitted("", 0, "request", False, None, None, None, "", None, None, None)
    return plain._replace(**{name: value for name, value in event.items() if name != "service"})


def test_recorded_packs_give_the_same_decisions_as_json(tmp_path: Path) -> None:
    """A recording of packs is replayed to the same actions and requests as one of the same events in JSON."""
    made, encoder = events(canary_errors=0.4), EventEncoder("chat")
    packer = Packer("chat", encoder.hash_unit)
    parts = [made[at : at + 5] for at in range(0, len(made), 5)]
    logs: dict[str, list[Recorded]] = {"packs": [], "json": []}
    for at, part in enumerate(parts):
        ts, given = START_MS + 100 * at, [emitted(one) for one in part]
        logs["packs"].append(recorded("t", partition=0, offset=at, ts=ts, value=packer.pack(given)))
        for of, one in enumerate(given):
            logs["json"].append(recorded("t", partition=0, offset=5 * at + of, ts=ts, value=encoder.encode(one)[1]))
    plan_file = str(write(tmp_path / "plan.yaml", [PLAN.encode()]))
    found = {
        name: [
            json.loads(line)
            for line in run(
                str(write(tmp_path / name, [encode_recorded(one) for one in log])), "--plan", plan_file, "--json"
            ).stdout.splitlines()
        ]
        for name, log in logs.items()
    }
    packs, in_json = ([(one.get("action"), one.get("at_ms")) for one in found[name]] for name in ("packs", "json"))
    assert packs == in_json
    assert found["packs"][-1] == found["json"][-1]
    assert (found["packs"][-1]["state"], found["packs"][-1]["events"]) == ("rolled_back", len(made))


def test_a_line_of_kcat_is_a_record(tmp_path: Path) -> None:
    """What `kcat -J` prints is understood: its `ts` is the log time, its `payload` the event."""
    lines = [
        json.dumps(
            {
                "topic": "inference.events",
                "partition": 0,
                "offset": number,
                "tstype": "logappend",
                "ts": event["ts_ms"],
                "broker": 1,
                "key": None,
                "payload": json.dumps(event),
            }
        ).encode()
        for number, event in enumerate(events())
    ]
    assert _story(told(write(tmp_path / "kcat", lines))) == _story(told(write(tmp_path / "e", encoded(events()))))


def test_a_recorded_report_survives_as_bytes() -> None:
    """Values that are not text are kept whole."""
    raw = encode_input(Report("t", 0, START_MS // SLICE_MS, 0, 5))
    one = recorded("canary.inputs", partition=1, offset=2, ts=3, value=raw)
    assert one.value == raw
    assert one.payload is not None or base64.b64decode(one.payload_base64 or "") == raw
