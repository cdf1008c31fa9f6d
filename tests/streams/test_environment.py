from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.units import Duration
from streams.environment import environment_of
from streams.settings import Settings
from streams.settings_load import load

SETTINGS = st.builds(
    Settings,
    brokers=st.sampled_from(["a:1", "a:1,b:2", "[::1]:9092"]),
    kafka=st.dictionaries(st.sampled_from(["sasl.password", "client.rack", "log_level"]), st.text("ab$ 1", min_size=1)),
    topic_prefix=st.from_regex(r"[a-zA-Z._-]{0,9}", fullmatch=True),
    inputs_partitions=st.integers(1, 10_000),
    session_timeout=st.integers(1_000, 1_800_000).map(Duration),
    hooks_webhooks=st.dictionaries(
        st.sampled_from(["chat", "page"]), st.sampled_from(["http://h/a", "https://h?b=%22"])
    ),
    hooks_commands=st.dictionaries(st.sampled_from(["a", "b-c"]), st.lists(st.text("a \"'ä{", min_size=1), min_size=1)),
    hooks_timeout=st.integers(100, 300_000).map(Duration),
    http_port=st.integers(1, 65535),
    log_format=st.sampled_from(["auto", "json", "console"]),
)


@given(SETTINGS)
def test_a_child_reads_back_exactly_what_the_parent_has(settings: Settings) -> None:
    """Settings written as an environment and loaded from it are the same settings, whatever the parent's variables."""
    environ = {"PATH": "/bin", "SERINUS_CONFIG": "/nowhere", "SERINUS_HTTP_PORT": "1", "SERINUS_KAFKA_ACKS": "0"}
    child = environment_of(settings, environ)
    assert load(None, child).settings == settings
    assert child["PATH"] == "/bin"
