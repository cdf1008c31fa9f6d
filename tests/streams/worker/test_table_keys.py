"""Keys of the worker's table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.worker.table_keys import Kind, TableKey, decode_key

WRITERS = st.text(st.characters(exclude_characters="|", codec="utf-8"), max_size=20)


@given(st.sampled_from(Kind), WRITERS, st.text(st.characters(codec="utf-8"), max_size=40), st.integers())
def test_a_key_comes_back_whatever_a_service_is_called(kind: Kind, writer: str, entity: str, pane: int) -> None:
    """Decoding is the inverse of encoding, also for services with separators in their names."""
    key = TableKey(kind, writer, entity, pane)
    assert decode_key(key.encode()) == key


def test_two_writers_never_share_a_key() -> None:
    """What a zombie stores cannot overwrite what its heir stores."""
    assert TableKey(Kind.SERVICE, "w1", "chat").encode() != TableKey(Kind.SERVICE, "w2", "chat").encode()


@pytest.mark.parametrize("raw", [b"", b"service|w1|0", b"other|w1|0|chat", b"window|w1|x|chat", b"\xff|a|0|b"])
def test_foreign_bytes_are_no_key(raw: bytes) -> None:
    """Bytes that are no key of ours are refused with ValueError, which recovery counts as unreadable."""
    with pytest.raises(ValueError):
        decode_key(raw)
