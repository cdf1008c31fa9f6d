"""Starts and stops a real Apache Kafka on this machine: `python3 deploy/kafka/local.py start`.

It needs nothing but Python's standard library, so that it runs before the project is installed.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    runpy.run_module("deploy.kafka.command", run_name="__main__")
