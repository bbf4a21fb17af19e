"""Runs a program's work until it is done, or until a signal ends it in good order."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any


def run(work: Coroutine[Any, Any, int]) -> int:
    """The status that `work` gives. The first signal cancels it, further ones don't disturb that.

    What a signal interrupted has not succeeded: the status is the shell's for that signal.
    """
    received: list[signal.Signals] = []

    async def until_signalled() -> int:
        task = asyncio.create_task(work)

        def cancel(number: signal.Signals) -> None:
            if not received:
                task.cancel()
            received.append(number)

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, cancel, number)
        try:
            return await task
        except asyncio.CancelledError:
            if not received:
                raise
            return 128 + received[0]

    return asyncio.run(until_signalled())
