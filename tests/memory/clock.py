"""Time as a test plays it: an event loop that jumps to the next timer when nothing is ready."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from typing import TypeVarTuple

_Arguments = TypeVarTuple("_Arguments")


class Stuck(RuntimeError):
    """Nothing is ready, and nothing is due any more."""


class PlayedTime(asyncio.BaseEventLoop):
    """Its time is that of the last timer. It has no sockets, no threads and no signals, so that
    whatever runs on it runs the same again. Of timers due at once the one set first comes first."""

    _ready: deque[asyncio.Handle]  # the base class's own

    def __init__(self, began: datetime | None = None) -> None:
        """`began` is the time at first; by default, that of the machine."""
        super().__init__()
        self._began = began or datetime.now(UTC)
        self._seconds = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._set = 0

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._seconds

    def now(self) -> datetime:
        return self._began + timedelta(seconds=self._seconds)

    def milliseconds(self) -> int:
        """Since the epoch."""
        return round(self._began.timestamp() * 1000) + int(self._seconds * 1000)

    def call_later(
        self,
        delay: float,
        callback: Callable[[*_Arguments], object],
        *args: *_Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._seconds + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*_Arguments], object],
        *args: *_Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._set += 1
        heappush(self._timers, (when, self._set, timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It stays until it is due, and is passed over then."""

    def _write_to_self(self) -> None:
        """Nobody else is there who could wake it."""

    def _run_once(self) -> None:
        """What is ready, or else what is due next."""
        ready, timers = self._ready, self._timers
        while not ready:
            if not timers:
                raise Stuck("everybody waits, and nothing will ever happen")
            when, _, timer = heappop(timers)
            if not timer.cancelled():
                self._seconds = max(when, self._seconds)
                ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()
