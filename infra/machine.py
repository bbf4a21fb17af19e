"""The machine that this runs on, for whoever reads what was measured on it."""

import os
import platform
from pathlib import Path


def machine() -> str:
    """ "2 CPUs (Intel Xeon), Linux 6.1, Python 3.11.7"."""
    system = f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}"
    return f"{os.cpu_count()} CPUs ({_cpu()}), {system}, Python {platform.python_version()}"


def _cpu() -> str:
    """What Linux calls it, or the kind of machine elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())
