"""What FCM has accepted for the devices of one run."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple, Self

from infra.client.phone import COLD_START_SECONDS
from infra.local.stack import Stack


class Push(NamedTuple):
    """One data message; of the same fields, whatever their order."""

    token: str
    data: tuple[tuple[str, str], ...]

    @property
    def call(self) -> str:
        return dict(self.data).get("callId", "")

    @property
    def rings(self) -> bool:
        """Whether it makes the phone ring."""
        return ("type", "incoming_call") in self.data

    def bare(self) -> Self:
        """Without what differs from one sending of a ring to the next."""
        names = ("type", "callId", "callerId")
        data = {name: value for name, value in self.data if name in names or not self.rings}
        return self.of(self.token, data)

    @classmethod
    def of(cls, token: str, data: Mapping[str, str]) -> Self:
        return cls(token, tuple(sorted(data.items())))


class Inbox:
    """The messages to tokens that begin with `prefix`, from now on."""

    def __init__(self, stack: Stack, prefix: str) -> None:
        self._fcm = stack.fcm
        self._prefix = prefix
        self._seen = len(stack.fcm.messages)
        self._pushes: Counter[Push] = Counter()

    def pushes(self) -> Counter[Push]:
        """All messages so far, and how often each came."""
        messages = self._fcm.messages
        for message in messages[self._seen :]:
            if message["token"].startswith(self._prefix):
                self._pushes[Push.of(message["token"], message["data"])] += 1
        self._seen = len(messages)
        return self._pushes

    async def until(self, complete: Callable[[Counter[Push]], bool]) -> None:
        """Waits until the messages so far are `complete`. Raises TimeoutError."""
        async with asyncio.timeout(COLD_START_SECONDS):
            while not complete(self.pushes()):
                await self._fcm.wait_for(self._seen + 1, COLD_START_SECONDS)
