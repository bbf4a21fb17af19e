"""What came of a case of the demo, and when."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from infra.client.calls import Calls
from infra.client.flows import UnexpectedError
from infra.client.phone import Phone
from infra.local.stack import Stack

PATIENCE_SECONDS = 10.0
JSON, SOCKET_IO, FCM, WEBHOOK = "WebSocket", "Socket.IO", "FCM", "webhook"


@dataclass(frozen=True)
class Arrival:
    what: str
    channel: str
    milliseconds: float


@dataclass(frozen=True)
class Played:
    """What came of a case; `wrong` says what did not hold, None that all did."""

    title: str
    arrivals: list[Arrival]
    status: str
    wrong: str | None


class Arrivals:
    """What arrives in one case, in milliseconds from its start."""

    def __init__(self) -> None:
        self.wrong: str | None = None
        self._arrivals: list[Arrival] = []
        self._start = perf_counter()

    def start(self) -> None:
        self._start = perf_counter()

    def note(self, what: str, channel: str, at: float | None = None) -> None:
        """Something came `at` some time (perf_counter, s), or else just now."""
        at = perf_counter() if at is None else at
        self._arrivals.append(Arrival(what, channel, (at - self._start) * 1000))

    async def told(self, phone: Phone, channel: str, event: str, **said: str) -> None:
        """Notes an event, which is to say so. Raises TimeoutError and UnexpectedError."""
        data = await phone.told(event)
        self.note(event, channel, data.pop("at"))
        expect(event, data, said)

    async def pushed(self, stack: Stack, token: str, count: int, **said: str) -> None:
        """Notes the `count`th push to a device, which is to say so. Raises the same."""
        data = (await pushes_to(stack, token, count))[count - 1]["data"]
        self.note(data["type"], FCM)
        expect("a push", data, said)

    @contextmanager
    def judged(self) -> Iterator[None]:
        """What does not come in the block, or comes otherwise, ends it and is what is `wrong`."""
        try:
            yield
        except* (TimeoutError, UnexpectedError) as errors:
            self.wrong = "; ".join(str(error) or "nothing came" for error in _each(errors))

    async def played(self, title: str, calls: Calls, call: str, expected: str) -> Played:
        """What came of the case, whose call is to end in the status `expected`."""
        status = await calls.status(call)
        if status != expected:
            self.wrong = f"the call is {status}"
        arrivals = sorted(self._arrivals, key=lambda arrival: arrival.milliseconds)
        return Played(title, arrivals, status, self.wrong)


def _each(error: Exception) -> Iterator[Exception]:
    """The errors of a group, and of the groups in it."""
    if not isinstance(error, ExceptionGroup):
        yield error
        return
    for inner in error.exceptions:
        yield from _each(inner)


def expect(what: str, data: Mapping[str, Any], said: Mapping[str, str]) -> None:
    """Raises UnexpectedError unless `data` says so."""
    if not said.items() <= data.items():
        raise UnexpectedError(f"{what} said {dict(data)}")


async def pushes_to(stack: Stack, token: str, count: int = 0) -> list[Mapping[str, Any]]:
    """Waits until at least `count` messages have been pushed to a device; gives them all. Raises
    TimeoutError."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            sent = [message for message in stack.fcm.messages if message["token"] == token]
            if len(sent) >= count:
                return sent
            await stack.fcm.wait_for(len(stack.fcm.messages) + 1, PATIENCE_SECONDS)
