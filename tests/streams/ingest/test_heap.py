"""Arrays that come and go with every batch are made of memory that the process has."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
from streams.ingest.heap import keep_freed_memory

def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        a = np.ones(100_000); b = a + a; c = a * b; del a, b, c
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

kept = keep_freed_memory()
faults(5)
print(kept, faults(50))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_a_second_batch_meets_no_page_fault() -> None:
    """Fifty batches of three arrays of 200 pages each: without it nearly every page is a fault."""
    said = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True).stdout.split()
    assert said[0] == "True"
    assert int(said[1]) < 1_000
