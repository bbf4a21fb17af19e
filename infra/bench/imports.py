"""What a cold start loads: how long a fresh process imports what a function needs."""

import subprocess
import sys
from statistics import median

from infra import ROOT

_PROGRAM = """
import time
start = time.perf_counter()
import functions_framework.aio
import functions.{function}
print((time.perf_counter() - start) * 1000)
"""


def import_ms(function: str, processes: int) -> float:
    """The median of so many fresh processes, in milliseconds. Their bytecode is there already."""
    return median(_once(function) for _ in range(processes))


def _once(function: str) -> float:
    program = [sys.executable, "-c", _PROGRAM.format(function=function)]
    run = subprocess.run(program, cwd=ROOT, capture_output=True, check=True, text=True)  # noqa: S603
    return float(run.stdout)
