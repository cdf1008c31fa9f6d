from __future__ import annotations

from schemas.decision import Action, Decision, State
from streams.demo.outcome import sentences, summary
from streams.demo.scene import Scene
from tests.streams.demo.conftest import Decide


def play(scene: Scene, decisions: list[Decision]) -> None:
    for decision in decisions:
        scene.add(decision)


def start_and_ramp(decide: Decide, service: str) -> list[Decision]:
    return [
        decide(service, 1, Action.START, State.RAMPING, 50_000),
        decide(service, 2, Action.ADVANCE, State.RAMPING, 100_000),
    ]


def test_success_is_a_rollback_of_chat_and_a_promotion_of_code(scene: Scene, decide: Decide) -> None:
    """Only the two expected ends make the demo a success; the sentences carry time, share and numbers."""
    play(scene, start_and_ramp(decide, "chat") + start_and_ramp(decide, "code"))
    assert scene.started and not scene.decided and not scene.succeeded
    scene.add(decide("chat", 11, Action.ROLLBACK, State.ROLLED_BACK, 0))
    assert not scene.succeeded
    scene.add(decide("code", 31, Action.PROMOTE, State.PROMOTED, 1_000_000))
    assert scene.decided and scene.succeeded
    assert sentences(scene) == [
        "chat v2 was rolled back after 10.0 s, at 10 % of the traffic: numbers of chat.",
        "code v2 was promoted after 30.0 s, at 10 % of the traffic: numbers of code.",
    ]
    ended = summary(scene, brokers="embedded", seconds=40.04)
    assert (ended["succeeded"], ended["seconds"]) == (True, 40.0)
    assert [one["state"] for one in ended["services"]] == ["rolled_back", "promoted"]
    assert [one["decided_after_s"] for one in ended["services"]] == [10.0, 30.0]
    assert [one["canary_share_ppm_at_decision"] for one in ended["services"]] == [100_000, 100_000]
    assert [one["canary_share_ppm_max"] for one in ended["services"]] == [100_000, 1_000_000]


def test_a_wrong_end_is_said_and_is_no_success(scene: Scene, decide: Decide) -> None:
    """A promoted bad canary and a good one that nobody decided about: both are named, neither counts."""
    play(scene, start_and_ramp(decide, "chat") + start_and_ramp(decide, "code"))
    scene.add(decide("chat", 11, Action.PROMOTE, State.PROMOTED, 1_000_000))
    said = sentences(scene)
    assert said[0].endswith("It should have been rolled back.")
    assert said[1] == "code v2 was not decided in time; it should have been promoted. advance for a reason"
    assert not scene.succeeded


def test_a_release_that_never_began_is_said(scene: Scene) -> None:
    """Without a start decision there is no success and no invented number."""
    assert sentences(scene)[0] == "chat v2: its release was never started by the worker."
    assert not scene.succeeded
    assert summary(scene, brokers="b:1", seconds=1.0)["services"][0]["state"] is None


def test_a_decision_that_is_published_again_changes_nothing(scene: Scene, decide: Decide) -> None:
    """Epochs that are not newer, other services, and what comes before a start are left out."""
    scene.add(decide("chat", 9, Action.ADVANCE, State.RAMPING, 100_000))
    scene.add(decide("search", 1, Action.START, State.RAMPING, 50_000))
    assert not any(release.started for release in scene.releases)
    play(scene, start_and_ramp(decide, "chat") * 2)
    assert len(scene.releases[0].decisions) == 2
