"""The audit's chain: an untouched one has no finding, and whatever is done to its middle has one."""

from __future__ import annotations

from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from releases.audit_chain import Chain
from releases.machine_io import Decide, Effect, Refuse
from schemas.command import Verb
from schemas.decision import Decision, Refusal, decode_record, encode_record, hash_of
from schemas.evidence import Verdict
from tests.releases.story import MINUTE_MS, Story, plan_of


def written(effects: list[Effect]) -> list[bytes]:
    """The records of the audit that effects ask for."""
    records = [e.decision if isinstance(e, Decide) else e.refusal for e in effects if isinstance(e, Decide | Refuse)]
    return [encode_record(record) for record in records]


def story() -> list[bytes]:
    """Two releases, with decisions by evidence and by hand, and refusals."""
    told = Story()
    told.command(Verb.RESUME)
    told.wait(2 * MINUTE_MS).judge(share_ppm=50_000)
    told.command(Verb.PAUSE)
    told.command(Verb.PROMOTE, skip_evidence=False)
    told.command(Verb.START, plan=plan_of(), replace=True)
    told.wait(MINUTE_MS).judge(Verdict.FAIL)
    told.command(Verb.PAUSE)
    return written(told.effects)


RECORDS = story()
somewhere = st.integers(0, len(RECORDS) - 2)


def chain_of(records: list[bytes]) -> Chain:
    chain = Chain("chat")
    for raw in records:
        chain.add(raw, decode_record(raw))
    return chain


def test_an_untouched_chain_is_whole() -> None:
    """From the first record to the newest, with every decision and every refusal in it."""
    chain = chain_of(RECORDS)
    assert (chain.findings, chain.whole, chain.repeated, chain.outside) == ([], True, 0, 0)
    assert len(chain.links) == len(RECORDS) >= 8
    assert chain.head == hash_of(RECORDS[-1])
    kinds = {type(decode_record(raw)) for raw in RECORDS}
    assert kinds == {Decision, Refusal}


def test_every_decision_says_what_was_before() -> None:
    """Previous weights are the weights of the decision before, and the plan is named by its hash."""
    decisions = [record for record in map(decode_record, RECORDS) if isinstance(record, Decision)]
    assert decisions[0].previous_weights_ppm == {}
    for before, after in pairwise(decisions):
        assert after.previous_weights_ppm == before.weights_ppm
    assert {len(decision.plan_hash) for decision in decisions} == {64}
    refusals = [record for record in map(decode_record, RECORDS) if isinstance(record, Refusal)]
    assert [(one.command, one.asked) for one in refusals][:2] == [("resume", "because"), ("promote", "because")]


@given(somewhere)
def test_a_removed_record_is_found(index: int) -> None:
    """Also the first one: then the chain does not begin with a first record."""
    chain = chain_of(RECORDS[:index] + RECORDS[index + 1 :])
    if index == 0:
        assert not chain.whole
    else:
        assert [finding.what for finding in chain.findings] == [
            f"the record before {chain.links[hash_of(RECORDS[index + 1])].name} is missing or was altered"
        ]


@given(somewhere, st.sampled_from(["reason", "actor"]))
def test_an_altered_record_is_found(index: int, field: str) -> None:
    """Another word in it is another hash, which nobody names."""
    other = msgspec.structs.replace(decode_record(RECORDS[index]), **{field: "somebody else"})
    assert chain_of([*RECORDS[:index], encode_record(other), *RECORDS[index + 1 :]]).findings


@given(somewhere)
def test_an_added_record_is_found(index: int) -> None:
    """One that names the right record has a rival; one that names none has no place."""
    record = decode_record(RECORDS[index])
    forged = encode_record(msgspec.structs.replace(record, reason="forged"))
    assert chain_of([*RECORDS[: index + 1], forged, *RECORDS[index + 1 :]]).findings
    loose = encode_record(msgspec.structs.replace(decode_record(RECORDS[0]), previous_hash=""))
    assert chain_of([*RECORDS[: index + 1], loose, *RECORDS[index + 1 :]]).findings


@given(st.lists(somewhere, max_size=5))
def test_what_is_published_again_is_no_second_record(again: list[int]) -> None:
    """After a crash the worker writes once more what it had decided: byte for byte, so it is known."""
    records = list(RECORDS)
    for index in again:
        records.insert(records.index(RECORDS[index]) + 1, RECORDS[index])
    chain = chain_of(records)
    assert chain.findings == []
    assert chain.repeated == len(again)


def test_what_is_gone_by_retention_is_said_and_no_fault() -> None:
    """The oldest records end first; the rest still holds together."""
    chain = chain_of(RECORDS[3:])
    assert (chain.findings, chain.whole) == ([], False)


def test_a_refusal_that_reached_no_service_stands_outside() -> None:
    """A command that nobody could read is refused before it has a place."""
    loose = encode_record(Refusal("chat", "c9", 1, "eve", "the command is not valid"))
    chain = chain_of([*RECORDS[:2], loose, *RECORDS[2:]])
    assert (chain.findings, chain.outside) == ([], 1)


def test_an_empty_chain_has_no_head() -> None:
    """Nothing seen is no whole chain."""
    chain = Chain("chat")
    assert (chain.head, chain.whole, chain.epoch) == (None, False, 0)
