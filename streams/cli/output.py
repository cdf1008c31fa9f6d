"""What commands print: lines for people, or JSON lines for programs."""

from __future__ import annotations

import re
import sys
from typing import Any

import click
import msgspec
import yaml

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


def yaml_text(document: dict[str, Any]) -> str:
    """A document in YAML that readers of YAML 1.1 and of 1.2 take for the same.

    >>> print(yaml_text({"name": "chat-v2", "epoch": "7", "value": "1e3", "weight": 10, "on": ["y", "off"]}), end="")
    name: chat-v2
    epoch: "7"
    value: "1e3"
    weight: 10
    'on':
    - "y"
    - 'off'
    """
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


class _Dumper(yaml.SafeDumper):
    """Quotes what begins like a number in some YAML; the words that mean something are known to PyYAML itself."""

    def ignore_aliases(self, data: Any) -> bool:
        """Always: an anchor is right, and nothing that people expect in such a document."""
        return True


_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]+")


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if _PLAIN.fullmatch(text) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _represent_text)
