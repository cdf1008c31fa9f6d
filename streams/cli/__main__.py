"""`python -m streams.cli` is `serinus`: how the supervisor starts its children."""

from __future__ import annotations

from streams.cli import main

main()
