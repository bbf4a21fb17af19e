"""Time as a test plays it: it passes at once, whenever there is nothing else to wait for."""

import asyncio
import selectors
from datetime import UTC, datetime, timedelta


class PlayedTime(asyncio.SelectorEventLoop):
    """An event loop whose time passes at once, as soon as all that is left is to wait for it."""

    def __init__(self) -> None:
        self._began = datetime.now(UTC)
        self._passed = 0.0  # seconds
        super().__init__(_NobodyWaits(self))

    def time(self) -> float:
        return self._passed

    def now(self) -> datetime:
        return self._began + timedelta(seconds=self._passed)

    def pass_(self, seconds: float) -> None:
        self._passed += seconds


class _NobodyWaits(selectors.DefaultSelector):
    """Lets the time pass for which the loop would have waited."""

    def __init__(self, loop: PlayedTime) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits, and nothing will ever happen")
        # A loop takes what is due within its clock's resolution for due.
        self._loop.pass_(max(timeout, 0.0))
        return super().select(0)
