"""No route below those that are already published (exactness rule 16)."""

from __future__ import annotations

import msgspec

from schemas.decision import Action, Decision
from schemas.inputs import Forwarded, Tick
from schemas.route import Route, encode_route
from streams.topics import CONTROL
from tests.streams.worker.inputs_log import START_MS, Log, start_command
from tests.streams.worker.lifetimes import Lifetime, decisions, routes
from tests.streams.worker.memory_broker import MemoryBroker, Sent

LOG: Log = [(Forwarded(start_command()), START_MS)] + [(Tick(), START_MS + i * 10_000) for i in range(1, 5)]


def own_route() -> Route:
    """The route that folding the log publishes."""
    broker = MemoryBroker()
    Lifetime(broker, LOG[:1]).read()
    return routes(broker)[0]


def after_take_over(published: Route) -> MemoryBroker:
    """A worker folds the log while ``published`` stands on the control topic."""
    broker = MemoryBroker()
    broker.sent.append(Sent(CONTROL, b"chat", encode_route(published), None))
    Lifetime(broker, LOG).read()
    return broker


def test_routes_below_the_published_one_are_not_sent() -> None:
    """Whatever the state says, routers never see an older epoch from us after a newer one."""
    broker = after_take_over(msgspec.structs.replace(own_route(), epoch=9))
    assert all(route.epoch >= 9 for route in routes(broker))


def test_a_release_that_is_behind_what_was_published_is_rolled_back_above_it() -> None:
    """The state cannot know what the newer epoch was about, so nothing but the baseline is safe."""
    broker = after_take_over(msgspec.structs.replace(own_route(), epoch=9))
    last = routes(broker)[-1]
    assert (last.epoch > 9, last.weights_ppm["v1"]) == (True, 1_000_000)
    actions = [d.action for d in decisions(broker) if isinstance(d, Decision)]
    assert actions == [Action.START, Action.ROLLBACK]


def test_the_own_route_found_again_changes_nothing() -> None:
    """The usual case: what stands there is what the state says too, and it is renewed."""
    broker = after_take_over(own_route())
    assert {route.epoch for route in routes(broker)} == {1}
    assert [d.action for d in decisions(broker) if isinstance(d, Decision)] == [Action.START]
