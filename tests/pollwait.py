"""How long a Socket.IO client without a WebSocket waits for an event and for a verdict, beside one
with a WebSocket: `python -m tests.pollwait`, on the local stack."""

import asyncio
import os
from contextlib import AsyncExitStack
from random import Random
from statistics import median, quantiles
from time import perf_counter

from infra.client.calls import Calls
from infra.client.phone import Phone, phone, socketio_phone
from infra.local.stack import Stack, passing_stack

_CALLS = 100
_SETTLED_SECONDS = 6.0  # a session's first 5 seconds look for what waits more often
_LONGEST_PAUSE_SECONDS = 0.6  # twice as long as a poll is held, so that a signal meets it anywhere


async def measure() -> None:
    async with passing_stack() as stack, AsyncExitStack() as phones:
        other = await phones.enter_async_context(phone(stack.websocket, "OTHER", stack.project))
        waiting = {}
        for transport in ("polling", "websocket"):
            token = stack.token(transport)
            waiting[transport] = await phones.enter_async_context(
                socketio_phone(stack.websocket, token, transports=(transport,))
            )
        await asyncio.sleep(_SETTLED_SECONDS)
        for transport, waits in waiting.items():
            heard, answered = await _waits(stack, other, transport, waits)
            _show(f"{transport}, until an event is heard", heard)
            _show(f"{transport}, until a verdict is heard", answered)


async def _waits(
    stack: Stack, other: Phone, user: str, waits: Phone
) -> tuple[list[float], list[float]]:
    """In milliseconds: from when the other party cancels until `user` hears it, and from when he
    rejects another call until he has the verdict."""
    random = Random(user)  # noqa: S311 - nobody is to guess it
    calls = Calls(stack.firestore, stack.project)
    heard, answered = [], []
    for number in range(_CALLS):
        cancelled, rejected = f"{user}-{number}-cancelled", f"{user}-{number}-rejected"
        for call in (cancelled, rejected):
            await calls.ring(call, "OTHER", user)
        await asyncio.sleep(random.uniform(0, _LONGEST_PAUSE_SECONDS))
        start = perf_counter()
        verdict = asyncio.create_task(other.emit("call:cancel", callId=cancelled))
        await waits.told("call:cancelled")
        heard.append((perf_counter() - start) * 1000)
        await verdict
        await asyncio.sleep(random.uniform(0, _LONGEST_PAUSE_SECONDS))
        start = perf_counter()
        await waits.emit("call:reject", callId=rejected)
        answered.append((perf_counter() - start) * 1000)
    return heard, answered


def _show(what: str, milliseconds: list[float]) -> None:
    p99 = quantiles(milliseconds, n=100)[98]
    print(f"{what}: p50 {median(milliseconds):.0f} ms, p99 {p99:.0f} ms, of {len(milliseconds)}")


if __name__ == "__main__":
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    asyncio.run(measure())
