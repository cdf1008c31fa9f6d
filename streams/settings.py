"""The one configuration: every setting with its default, its limits and what it is for.

:mod:`streams.settings_load` fills it from a file and from the environment. It is read once, frozen, and passed down.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from schemas.units import Duration

MOCK_PARTITIONS = 4
"""The embedded broker gives every topic this many partitions and cannot be told otherwise."""

SECRET = "***"
"""Shown instead of a secret."""

_SECRET_PROPERTY = re.compile(r"password|secret|token|jaas|credentials|\.config$|key\.pem|assertion")

_ADDRESS = r"(\[[0-9A-Fa-f:.]+\]|[^\s,:\[\]]+):\d{1,5}"

_Port = Annotated[int, Meta(ge=1, le=65535, description="a whole number from 1 to 65535")]
_Count = Annotated[int, Meta(ge=1, le=10_000, description="a whole number from 1 to 10000")]
_Brokers = Annotated[
    str, Meta(pattern=rf"^{_ADDRESS}(,{_ADDRESS})*$", description="host:port, or several with commas between")
]
_Prefix = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9._-]{0,100}$",
        description="up to 100 letters, digits, dots, dashes and underscores",
    ),
]
_Url = Annotated[str, Meta(pattern=r"^(https?://[^\s/]+)?$", description="http://host:port without a path, or nothing")]
_Text = Annotated[str, Meta(min_length=1, max_length=4096, description="1 to 4096 characters")]
_Path = Annotated[str, Meta(max_length=4096, description="up to 4096 characters")]
_Services = Annotated[
    str,
    Meta(
        pattern=r"^([^,]{1,256}(,[^,]{1,256}){0,255})?$",
        description="up to 256 names with commas between, or nothing",
    ),
]
_Hooks = Annotated[
    str,
    Meta(max_length=65_536, pattern=r"^[^\s]*$", description="URLs with commas between, or nothing"),
]
_Webhooks = Annotated[dict[str, str], Meta(description="names with a URL each; in a variable as JSON")]
_Commands = Annotated[
    dict[str, list[str]], Meta(description="names with a program and its arguments each; in a variable as JSON")
]
_Flag = Annotated[bool, Meta(description="true or false")]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be set. ``http_port`` is ``http_port:`` in the file and ``SERINUS_HTTP_PORT`` in the environment."""

    brokers: _Brokers = "127.0.0.1:9092"
    kafka: dict[str, str | int | float | bool] = {}
    topic_prefix: _Prefix = ""
    events_partitions: _Count = 4
    inputs_partitions: _Count = 4
    replication_factor: _Count = 1
    services: _Services = ""
    session_timeout: Duration = Duration(6_000)
    http_host: _Text = "127.0.0.1"
    http_port: _Port = 6066
    http_advertised_url: _Url = ""
    http_tokens_file: _Path = ""
    ingest_http_port: _Port = 6067
    hooks_http_port: _Port = 6068
    hooks_allow: _Hooks = ""
    hooks_webhooks: _Webhooks = {}
    hooks_commands: _Commands = {}
    hooks_secret_file: _Path = ""
    hooks_timeout: Duration = Duration(10_000)
    hooks_give_up_after: Duration = Duration(3_600_000)
    hooks_age_max: Duration = Duration(86_400_000)
    data_dir: _Text = ".serinus"
    log_format: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    embedded: _Flag = False

    def topic(self, name: str) -> str:
        """The topic's name on the broker: the prefix stands before it."""
        return self.topic_prefix + name

    def group(self, part: str) -> str:
        """The consumer group, and for the worker the Faust app, of one part of the pipeline."""
        return f"{self.topic_prefix}serinus-{part}"

    @property
    def listed_services(self) -> frozenset[str]:
        """The only services that are counted by their names; none when any may come."""
        return frozenset(filter(None, self.services.split(",")))

    @property
    def advertised_url(self) -> str:
        """Where other workers reach this one; without an explicit setting, where it listens."""
        return self.http_advertised_url or f"http://{self.http_host}:{self.http_port}"

    @property
    def allowed_prefixes(self) -> tuple[str, ...]:
        """What URLs of plans have to begin with, one of them; none when plans may name no URL."""
        return tuple(filter(None, self.hooks_allow.split(",")))

    @property
    def calls_out(self) -> bool:
        """Whether any hook of a plan could be carried out here."""
        return bool(self.hooks_allow or self.hooks_webhooks or self.hooks_commands)

    def shown(self) -> dict[str, Any]:
        """Every setting as a plain value for people to read, secrets hidden."""
        values: dict[str, Any] = {
            name: value.text() if isinstance(value, Duration) else value
            for name, value in msgspec.structs.asdict(self).items()
        }
        values["kafka"] = {name: shown_property(name, value) for name, value in self.kafka.items()}
        # Who knows the path of a chat's webhook can write to the chat.
        values["hooks_webhooks"] = {name: _origin(url) for name, url in self.hooks_webhooks.items()}
        return values

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.shown().items())})"


def _origin(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}/{SECRET}"


def shown_property(name: str, value: object) -> object:
    """The value of a librdkafka property, or ``***`` when the property holds a secret.

    >>> shown_property("sasl.password", "hunter2"), shown_property("sasl.username", "ada")
    ('***', 'ada')
    """
    return SECRET if _SECRET_PROPERTY.search(name) else value
