"""What commands print: lines for people, or JSON lines for programs."""

from __future__ import annotations

import sys
from typing import Any

import click
import msgspec

from schemas.units import Share, encode_hook


def print_json(value: Any) -> None:
    """One JSON line on stdout, at once: a program may be waiting for it."""
    click.echo(msgspec.json.encode(value, enc_hook=encode_hook))
    sys.stdout.flush()


def shares(weights_ppm: dict[str, int]) -> str:
    """The weights for people.

    >>> shares({"v1": 950_000, "v2": 50_000})
    'v1 95%, v2 5%'
    """
    return ", ".join(f"{version} {Share(ppm).text()}" for version, ppm in weights_ppm.items())
