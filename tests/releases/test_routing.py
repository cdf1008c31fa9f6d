"""Routes: weights add up, the fallback follows the promotion, and the wire keeps them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from releases.routing import route_of, weights_of
from schemas.command import Verb
from schemas.route import decode_route, encode_route
from schemas.units import PPM
from tests.releases.story import TWO_CANARIES, Story, plan_of


@given(st.dictionaries(st.sampled_from(["v2", "v3"]), st.integers(0, PPM // 2)))
def test_weights_add_up(canaries: dict[str, int]) -> None:
    """The baseline has the remainder; nobody is listed with nothing."""
    weights = weights_of(plan_of(TWO_CANARIES), canaries)
    assert sum(weights.values()) == PPM
    assert min(weights.values()) > 0


def test_a_route_survives_the_wire() -> None:
    """What the machine publishes is what routers read."""
    story = Story()
    story.command(Verb.PROMOTE)
    for route in (*story.routes, route_of(story.release, now_ms=story.now_ms)):
        assert decode_route(encode_route(route)) == route


def test_the_fallback_is_never_what_was_replaced() -> None:
    """After a promotion a lapsed lease leads to the promoted version, after a rollback to the baseline."""
    for verb, fallback in ((Verb.PROMOTE, "v2"), (Verb.ROLLBACK, "v1"), (Verb.ABORT, "v1")):
        story = Story()
        story.command(verb)
        assert story.routes[-1].fallback == fallback
