"""What FCM has accepted for the devices of one run."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple, Self

from infra.client.phone import COLD_START_SECONDS
from infra.local.stack import Stack

_OF_A_RING = ("type", "callId", "callerId")


class Push(NamedTuple):
    """One data message; of the same fields, whatever their order. Of one that makes a phone ring,
    what is new each time that it is sent is left out."""

    token: str
    data: tuple[tuple[str, str], ...]

    @property
    def call(self) -> str:
        return dict(self.data).get("callId", "")

    @property
    def rings(self) -> bool:
        """Whether it makes the phone ring."""
        return ("type", "incoming_call") in self.data

    @classmethod
    def of(cls, token: str, data: Mapping[str, str]) -> Self:
        rings = data.get("type") == "incoming_call"
        fields = {name: data[name] for name in _OF_A_RING} if rings else data
        return cls(token, tuple(sorted(fields.items())))


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
