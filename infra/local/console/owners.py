"""Which function made a call: the one whose process has the port that the call came from."""

import asyncio
from collections.abc import Callable, Mapping

from infra.local.console.ports import ports_of

_FORGET_SECONDS = 5.0  # a port may become another's
_LOOKS = 2  # the first may have begun before there was such a port


class Owners:
    """Looks at processes only when an unknown port turns up, and then at all of them at once.
    Remembers also which ports nobody had."""

    def __init__(self, pids: Callable[[], Mapping[str, int]], now: Callable[[], float]) -> None:
        """`pids` are those of the functions that run, by their names; each has its workers."""
        self._pids = pids
        self._now = now
        self._known: dict[int, str] = {}
        self._nobodys: set[int] = set()  # since the last look
        self._looked = 0.0
        self._looking: asyncio.Task[None] | None = None

    def known(self, port: int) -> str | None:
        """The function, if it has been seen with this port lately."""
        return self._known.get(port) if self._is_fresh else None

    @property
    def _is_fresh(self) -> bool:
        return self._now() - self._looked <= _FORGET_SECONDS

    async def find(self, port: int) -> str | None:
        """The function, or None if the port is nobody's any more, or of no function."""
        if self._is_fresh and port in self._nobodys:
            return None
        for _ in range(_LOOKS):
            if function := self.known(port):
                return function
            await self._look()
        if port not in self._known:
            self._nobodys.add(port)
        return self._known.get(port)

    async def _look(self) -> None:
        """One look serves all who wait for it."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_once())
        await asyncio.shield(self._looking)

    async def _look_once(self) -> None:
        try:
            pids = self._pids()
            self._known = await asyncio.to_thread(ports_of, pids)
            self._looked = self._now()
            self._nobodys.clear()
        finally:
            self._looking = None
