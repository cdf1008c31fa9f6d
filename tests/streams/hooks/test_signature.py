"""Signatures: those of another implementation, and the ten lines that the docs give to receivers."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from streams.hooks.signature import read_keys, signature
from streams.settings_load import SettingsError

DOCUMENT = Path(__file__).parents[3] / "docs" / "hooks.md"
KEY, NEXT = b"0123456789abcdefghij", b"jihgfedcba9876543210"


def documented() -> Any:
    """The function of the documentation."""
    found = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    exec(found[1], names)
    return names["verified"]


def test_the_signature_is_that_of_openssl() -> None:
    """HMAC-SHA256 of "time.body", in hexadecimal, by a program that has nothing of ours."""
    openssl = shutil.which("openssl")
    assert openssl is not None, "install openssl"
    body = b'{"reason":"\xc3\xa4"}'
    said = subprocess.run(
        [openssl, "dgst", "-sha256", "-hmac", KEY.decode()], input=b"17." + body, capture_output=True, check=True
    )
    digest = said.stdout.split()[-1].decode()
    assert signature(body, [KEY], at_s=17) == f"t=17,v1={digest}"


def test_the_documented_receiver_takes_it() -> None:
    """With either key while one is being changed; not with another one, a changed body or an old time."""
    verified, now_s = documented(), int(time.time())
    body = b'{"a": 1}'
    header = signature(body, [NEXT, KEY], at_s=now_s)
    assert verified(body, header, KEY.decode())
    assert verified(body, header, NEXT.decode())
    assert not verified(body, header, "another key of twenty")
    assert not verified(body + b" ", header, KEY.decode())
    assert not verified(body, header.replace(f"t={now_s}", f"t={now_s + 1}"), KEY.decode())
    assert not verified(body, signature(body, [KEY], at_s=now_s - 301), KEY.decode())


def test_keys_are_read(tmp_path: Path) -> None:
    """A key on each line; what is wrong is said without repeating one."""
    file = tmp_path / "hooks.key"
    file.write_text(f"# from openssl\n\n{NEXT.decode()}\n{KEY.decode()}\n")
    assert read_keys(file) == (NEXT, KEY)
    for text, said in (("", "found 0 keys"), ("x" * 19, "19 characters"), ("\n".join([KEY.decode()] * 5), "5 keys")):
        file.write_text(text)
        with pytest.raises(SettingsError, match=said) as refused:
            read_keys(file)
        assert "xxx" not in str(refused.value)
    with pytest.raises(SettingsError, match="not readable"):
        read_keys(tmp_path / "none")
