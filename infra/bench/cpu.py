"""CPU that processes have used, as the system accounts for it: with their threads, their children
and the kernel's work for them."""

import asyncio
from collections.abc import Mapping

import psutil

_LOOK_SECONDS = 0.25
_LOOKS_AT_REST = 2
_TICK_SECONDS = 0.01  # in which Linux counts
_IDLE_SHARE = 0.02  # of one CPU, for all that runs by the clock in processes at rest
_PATIENCE_SECONDS = 60.0


class Accounts:
    """The processes of one system, by name."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        """Raises psutil.NoSuchProcess."""
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}

    def used(self) -> dict[str, float]:
        """Seconds of CPU since each process began. Raises psutil.NoSuchProcess."""
        return {name: _used(process) for name, process in self._processes.items()}

    async def at_rest(self) -> dict[str, float]:
        """Waits until none of them has anything left to do; gives what they have used by then.
        Raises TimeoutError after a minute."""
        used = self.used()
        looks = 0
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while looks < _LOOKS_AT_REST:
                await asyncio.sleep(_LOOK_SECONDS)
                before, used = used, self.used()
                busy = sum(used.values()) - sum(before.values())
                looks = looks + 1 if busy <= _IDLE_SHARE * _LOOK_SECONDS + _TICK_SECONDS else 0
        return used


def _used(process: psutil.Process) -> float:
    """functions-framework serves from a child of the process that was started."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(float(each.user + each.system) for each in times)
