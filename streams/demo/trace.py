"""The recorded half of the demo's traffic: when requests arrived at two real services, how long each answer was."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

TRACES = Path(__file__).with_name("azure_llm_2023")

CITATION = "Azure LLM inference trace 2023 (Patel et al., “Splitwise”, ISCA 2024; Microsoft, CC-BY-4.0)"


class Trace(NamedTuple):
    """One service's recorded hour.

    Parameters
    ----------
    arrivals_s : since the first arrival, s, ascending.
    tokens : generated for each of them.
    """

    arrivals_s: npt.NDArray[np.float64]
    tokens: npt.NDArray[np.int64]

    @property
    def length_s(self) -> float:
        """From the first arrival to the last, s."""
        return float(self.arrivals_s[-1])


def read_trace(name: str) -> Trace:
    """Read a recorded trace.

    Parameters
    ----------
    name : ``conv`` or ``code``.
    """
    with (TRACES / f"AzureLLMInferenceTrace_{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    at = np.array([row["TIMESTAMP"] for row in rows], dtype="datetime64[ns]")
    arrivals_s = (at - at[0]) / np.timedelta64(1, "s")
    return Trace(arrivals_s, np.array([row["GeneratedTokens"] for row in rows], dtype=np.int64))
