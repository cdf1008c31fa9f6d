"""``canary.inputs``: the one ordered input of the worker's pure function."""

from __future__ import annotations

import msgspec

from schemas.command import Command
from schemas.decoding import decoded
from schemas.report import REPORT_VERSION, Report
from schemas.units import decode_hook, encode_hook


class Tick(msgspec.Struct, tag="tick", tag_field="type"):
    """Says that time has passed. The time itself is the record's log-append time; nobody reads the wall clock.

    ``writer`` names the worker that sent it, for people who read the topic.
    """

    writer: str = ""


class Forwarded(msgspec.Struct, tag="command", tag_field="type"):
    """A command that a worker validated on ``canary.commands`` and put into the one ordered input."""

    command: Command


Input = Report | Tick | Forwarded

_decoder: msgspec.msgpack.Decoder[Input] = msgspec.msgpack.Decoder(Input, dec_hook=decode_hook)
_encoder = msgspec.msgpack.Encoder(enc_hook=encode_hook)


def encode_input(record: Input) -> bytes:
    """Encode a record of ``canary.inputs``.

    >>> decode_input(encode_input(Tick(writer="w1")))
    Tick(writer='w1')
    """
    return _encoder.encode(record)


def decode_input(raw: bytes) -> Input:
    """Decode a record of ``canary.inputs``; raises :class:`msgspec.ValidationError` or ``DecodeError``."""
    return decoded(_decoder.decode, raw)


class _ReportHead(msgspec.Struct):
    type: str = ""
    format: int = REPORT_VERSION


_head_decoder = msgspec.msgpack.Decoder(_ReportHead)


def report_format(raw: bytes) -> int | None:
    """The format of a report, also of one whose shape nobody here knows; None when the record is no report.

    >>> report_format(msgspec.msgpack.encode({"type": "report", "format": 7, "cells": "packed"}))
    7
    """
    try:
        head = decoded(_head_decoder.decode, raw)
    except msgspec.DecodeError:
        return None
    return head.format if head.type == "report" else None
