"""Virtual time: an event loop that jumps to the next timer when nothing is ready."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

START = datetime(2026, 1, 1, tzinfo=UTC)

_Result = TypeVar("_Result")


class Stuck(Exception):
    """Nothing is ready, and nothing is due any more."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Its time is that of the last timer. It has no sockets, no threads and no signals, so that
    whatever runs on it runs the same again."""

    def __init__(self) -> None:
        super().__init__()
        self._seconds = 0.0
        self._selector = self  # of which the base class asks for nothing but `select`

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._seconds

    def now(self) -> datetime:
        return START + timedelta(seconds=self._seconds)

    def milliseconds(self) -> int:
        """Since the epoch."""
        return int(START.timestamp()) * 1000 + int(self._seconds * 1000)

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Stuck
        self._seconds += timeout
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody else is there who could wake it."""


def run(loop: VirtualLoop, main: Coroutine[Any, Any, _Result]) -> _Result:
    """Runs `main` to its end; what it leaves behind is cancelled."""
    try:
        return loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()
