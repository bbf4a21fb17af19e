"""Users, their devices and their calls, for both of the servers that are compared."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from random import Random
from time import perf_counter

from infra.bench.arrivals import poisson
from infra.bench.generator import Cancel
from infra.client import https
from infra.client.calls import client_at
from infra.local.stack import Stack

_WRITES = 400  # in one commit; Firestore takes 500
_LATE_SECONDS = 15.0  # after all else has come
_LOOK_SECONDS = 0.05
_numbers = itertools.count(1)  # of calls, so that no two are one


class People:
    """So many callers, and as many receivers, each with a device."""

    def __init__(self, stack: Stack, pairs: int, random: Random) -> None:
        self._stack = stack
        self._random = random
        self._documents = client_at(stack.firestore, stack.project)
        self.callers = [f"CALLER_{number}" for number in range(pairs)]
        self.receivers = [f"RECEIVER_{number}" for number in range(pairs)]

    def shown_by(self, users: Sequence[str]) -> list[tuple[str, str]]:
        """Each user with a token that both servers take."""
        return [(user, self._stack.token(user)) for user in users]

    async def register(self) -> None:
        """Notes each receiver's device, as Unring does it and as the peer expects it."""
        key = self._stack.values["API_KEY"]
        async with https.client(self._stack.functions["api"]) as http:
            backend = https.Backend(http, key)
            for receiver in self.receivers:
                await backend.register(receiver, f"token-of-{receiver}", "android")
        users = self._documents.collection("users")
        batch = self._documents.batch()
        for receiver in self.receivers:
            batch.set(users.document(receiver), {"fcmToken": f"token-of-{receiver}"})
        await batch.commit()

    async def ring(self, rate: float, count: int) -> list[Cancel]:
        """Makes `count` calls ring, that are to be cancelled at a mean of `rate` a second."""
        cancels = [
            Cancel(f"CALL_{next(_numbers)}", *self._random.choice(self._pairs()), due)
            for due in poisson(rate, count, self._random)
        ]
        await self.store(
            {cancel.call: (cancel.caller, cancel.receiver) for cancel in cancels}, "ringing"
        )
        return cancels

    async def store(self, calls: Mapping[str, tuple[str, str]], status: str) -> None:
        """Writes calls, by the ids of their callers and receivers."""
        collection = self._documents.collection("calls")
        waiting = list(calls.items())
        for first in range(0, len(waiting), _WRITES):
            batch = self._documents.batch()
            for call, (caller, receiver) in waiting[first : first + _WRITES]:
                fields = {"callerId": caller, "receiverId": receiver, "status": status}
                batch.set(collection.document(call), fields)
            await batch.commit()

    def _pairs(self) -> list[tuple[str, str]]:
        return list(zip(self.callers, self.receivers, strict=True))


class Pushes:
    """When FCM took the message of each call, by perf_counter."""

    def __init__(self, stack: Stack) -> None:
        self._fcm = stack.fcm
        self._at: dict[str, float] = {}

    @asynccontextmanager
    async def noted(self) -> AsyncIterator[Mapping[str, float]]:
        """Those that come in the block."""
        self._fcm.clear()
        self._at = {}
        noting = asyncio.create_task(self._note())
        try:
            yield self._at
        finally:
            noting.cancel()
            with suppress(asyncio.CancelledError):
                await noting

    async def came(self, count: int) -> None:
        """Waits until those of so many calls have come, or for too long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LATE_SECONDS):
                while len(self._at) < count:  # noqa: ASYNC110 - `_note` tells nobody
                    await asyncio.sleep(_LOOK_SECONDS)

    async def _note(self) -> None:
        seen = 0
        while True:
            messages = await self._fcm.wait_for(seen + 1, 3600)
            now = perf_counter()
            for message in messages[seen:]:
                self._at.setdefault(message["data"]["callId"], now)
            seen = len(messages)
