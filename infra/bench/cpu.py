"""CPU that processes have used, as the system accounts for it: with their threads, their children
and the kernel's work for them."""

import asyncio
from collections.abc import Mapping

import psutil

# The system counts in hundredths of a second on Linux. A process that is at rest uses none for so
# long, but for what runs by the clock.
_LOOK_SECONDS = 0.25
_LOOKS_AT_REST = 2


class Accounts:
    """The processes of one system, by name."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        """Raises psutil.NoSuchProcess."""
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}

    def used(self) -> dict[str, float]:
        """Seconds of CPU since each process began. Raises psutil.NoSuchProcess."""
        return {name: _used(process) for name, process in self._processes.items()}

    async def at_rest(self) -> dict[str, float]:
        """Waits until none of them has anything left to do; gives what they have used by then."""
        used = self.used()
        looks = 0
        while looks < _LOOKS_AT_REST:
            await asyncio.sleep(_LOOK_SECONDS)
            before, used = used, self.used()
            busy = sum(used.values()) - sum(before.values())
            looks = looks + 1 if busy < 0.02 * _LOOK_SECONDS + 0.01 else 0
        return used


def _used(process: psutil.Process) -> float:
    """functions-framework serves from a child of the process that was started."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(float(each.user + each.system) for each in times)
