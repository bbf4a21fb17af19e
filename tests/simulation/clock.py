"""The time of a schedule, which always begins at the same moment, and how one is run in it."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

from tests.memory.clock import PlayedTime

START = datetime(2026, 1, 1, tzinfo=UTC)

_Result = TypeVar("_Result")


def run(loop: PlayedTime, main: Coroutine[Any, Any, _Result]) -> _Result:
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
