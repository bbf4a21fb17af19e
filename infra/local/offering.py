"""Cancels, sent to `gateway` just as API Gateway forwards them, and what became of each.

This runs in a process of its own, so that it takes the services no time of their event loop. API
Gateway itself is left out: in the cloud its work takes the functions no CPU, but here it would.
"""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

_API_GATEWAY_WAITS_SECONDS = 29.0


@dataclass(frozen=True, slots=True)
class Cancel:
    """A call that rings, and the connection by which its caller gives up."""

    call: str
    connection: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A cancel, its outcome, when it was answered (seconds since the first was sent) and how many
    seconds that took."""

    call: str
    outcome: str
    at: float
    took: float


@dataclass(frozen=True, slots=True)
class Gateway:
    """The function `gateway`: where it is, and the secret by which it knows API Gateway."""

    url: str
    secret: str


def at_rate(gateway: Gateway, cancels: Sequence[Cancel], rate: float) -> list[Answered]:
    """Sends `rate` cancels a second, whether or not those before have been answered."""
    return asyncio.run(_played(gateway, lambda ask: _at_rate(ask, cancels, rate)))


def as_answered(
    gateway: Gateway, cancels: Sequence[Cancel], at_once: int, seconds: float
) -> list[Answered]:
    """For so many `seconds`, has `at_once` cancels under way: the next follows upon an answer."""
    return asyncio.run(_played(gateway, lambda ask: _as_answered(ask, cancels, at_once, seconds)))


_Ask = Callable[[Cancel], Coroutine[Any, Any, Answered]]


async def _played(
    gateway: Gateway, play: Callable[[_Ask], Coroutine[Any, Any, list[Answered]]]
) -> list[Answered]:
    timeout = aiohttp.ClientTimeout(_API_GATEWAY_WAITS_SECONDS)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        began = time.perf_counter()

        async def ask(cancel: Cancel) -> Answered:
            sent = time.perf_counter()
            outcome = await _outcome(http, gateway, cancel)
            now = time.perf_counter()
            return Answered(cancel.call, outcome, now - began, now - sent)

        return await play(ask)


async def _at_rate(ask: _Ask, cancels: Sequence[Cancel], rate: float) -> list[Answered]:
    began = time.perf_counter()
    asked = []
    for number, cancel in enumerate(cancels):
        await asyncio.sleep(began + number / rate - time.perf_counter())
        asked.append(asyncio.create_task(ask(cancel)))
    return await asyncio.gather(*asked)


async def _as_answered(
    ask: _Ask, cancels: Iterable[Cancel], at_once: int, seconds: float
) -> list[Answered]:
    end = time.perf_counter() + seconds
    left = iter(cancels)
    answered = []

    async def work() -> None:
        for cancel in left:
            if time.perf_counter() > end:
                return
            answered.append(await ask(cancel))

    await asyncio.gather(*(work() for _ in range(at_once)))
    return answered


async def _outcome(http: aiohttp.ClientSession, gateway: Gateway, cancel: Cancel) -> str:
    """The verdict's outcome; "no verdict" if there is none."""
    frame = {"event": "call:cancel", "data": {"callId": cancel.call}, "id": 1}
    headers = {
        "Unring-Secret": gateway.secret,
        "Unring-Connection-Id": cancel.connection,
        "Unring-Event-Type": "MESSAGE",
        "Unring-Request-Time": str(time.time_ns() // 1_000_000),
    }
    try:
        async with http.post(gateway.url, data=json.dumps(frame), headers=headers) as reply:
            return str(json.loads(await reply.read())["data"]["outcome"])
    except (aiohttp.ClientError, TimeoutError, ValueError, LookupError):
        return "no verdict"
