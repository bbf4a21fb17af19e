"""A handset: a phone of either wire that remembers all it was told."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, NamedTuple, Protocol, Self

from socketio.exceptions import ConnectionError as NotConnected
from socketio.exceptions import TimeoutError as NoAnswer
from websockets.exceptions import InvalidStatus

from infra.client.https import Unreachable
from infra.client.phone import (
    COLD_START_SECONDS,
    JsonPhone,
    Phone,
    SocketIoPhone,
    json_phone,
    socketio_phone,
)
from infra.emulators.auth.tokens import unsigned_token
from infra.local.stack import Stack

JSON, SOCKET_IO = "json", "eio4"  # as the documents of connections name the wires
# Both ends of a call, in all combinations.
WIRES = ((JSON, JSON), (SOCKET_IO, JSON), (JSON, SOCKET_IO), (SOCKET_IO, SOCKET_IO))

_DIALS, _PAUSE_SECONDS = 5, 1.0  # tries of an app, and between two of them
_REFUSED = (InvalidStatus, NotConnected, TimeoutError)

Answer = tuple[dict[str, Any], bool]  # a verdict, and whether it took more than one frame


class Told(NamedTuple):
    """One event as a phone gets it; what is missing of it is empty."""

    event: str
    call: str
    reason: str


class Times(NamedTuple):
    """When an event came (perf_counter, s), and when the server decided it (Unix ms)."""

    came: float
    decided: int


class Sender(Protocol):
    """Who sends signals, by whichever way, and hears the verdict; or raises TimeoutError or, by
    HTTPS, Unreachable."""

    async def emit(self, event: str, **data: object) -> dict[str, Any]: ...


async def say(sender: Sender, event: str, **data: object) -> Answer:
    """The verdict, and whether it took more than one try. Raises TimeoutError and Unreachable.

    As an app does, it says again what a busy machine leaves undone or unanswered, and what it has
    sent on a connection that was just being closed, as it had been idle.
    """
    for number in range(_DIALS - 1):
        with suppress(TimeoutError, Unreachable):
            verdict = await sender.emit(event, **data)
            if verdict["outcome"] != "unavailable":
                return verdict, number > 0
    return await sender.emit(event, **data), True


class Handset:
    """One app of `user` on `wire`, which keeps its memory when its socket is closed."""

    def __init__(
        self, user: str, wire: str, phone: Phone, socket: AsyncExitStack, device: str | None = None
    ) -> None:
        self.user = user
        self.wire = wire
        self.device = device
        self.is_open = True
        self._phone = phone
        self._socket = socket
        self.times: dict[Told, Times] = {}  # of what it was told, the first time
        self._told: Counter[Told] = Counter()

    @classmethod
    async def dial(cls, stack: Stack, user: str, wire: str, device: str | None = None) -> Self:
        """Connects, and as apps do again when a busy machine refuses; it may say on which `device`
        it is. `hang_up` or `die` must follow."""
        for tries_left in reversed(range(_DIALS)):
            with suppress(*(_REFUSED if tries_left else ())):
                return await cls._dial(stack, user, wire, device)
            await asyncio.sleep(_PAUSE_SECONDS)
        raise AssertionError("the last try raises what comes of it")

    @classmethod
    async def _dial(cls, stack: Stack, user: str, wire: str, device: str | None) -> Self:
        token = unsigned_token(user, stack.project)
        connect = json_phone if wire == JSON else socketio_phone
        async with AsyncExitStack() as socket:
            phone = await socket.enter_async_context(connect(stack.websocket, token, device=device))
            return cls(user, wire, phone, socket.pop_all(), device)

    @classmethod
    @asynccontextmanager
    async def dialled(
        cls, stack: Stack, user: str, wire: str, device: str | None = None
    ) -> AsyncIterator[Self]:
        handset = await cls.dial(stack, user, wire, device)
        try:
            yield handset
        finally:
            await handset.hang_up()

    async def redial(self, stack: Stack) -> None:
        """Connects anew, after hanging up; what it was told before it remembers."""
        await self.hang_up()
        self.told()
        again = await self.dial(stack, self.user, self.wire, self.device)
        self._phone, self._socket, self.is_open = again._phone, again._socket, True

    def __str__(self) -> str:
        return f"{self.user}'s {self.wire} phone"

    async def emit(self, event: str, **data: object) -> dict[str, Any]:
        """The verdict on one frame. Raises TimeoutError when none comes."""
        try:
            return await self._phone.emit(event, **data)
        except (TimeoutError, NoAnswer) as error:
            raise TimeoutError(f"{self} got no verdict on {event} {data}") from error

    async def insist(self, event: str, **data: object) -> dict[str, Any]:
        """The verdict on a frame, said again as `say` does. Raises TimeoutError."""
        verdict, _ = await self.say(event, **data)
        return verdict

    async def say(self, event: str, **data: object) -> Answer:
        """The verdict, and whether it took more than one frame. Raises TimeoutError."""
        return await say(self, event, **data)

    async def hears(self, told: Told, times: int = 1) -> None:
        """Waits until it was told so, so often. Raises TimeoutError."""
        try:
            async with asyncio.timeout(COLD_START_SECONDS):
                while self._told[told] < times:
                    self._note(await self._phone.next_event())
        except TimeoutError as error:
            raise TimeoutError(f"{self} was not told {told}") from error

    async def catch_up(self) -> None:
        """Returns once all has come that was sent to it before: an answer overtakes no event."""
        await self.insist("device:unregister", token="nobody's")

    def told(self) -> Counter[Told]:
        """All that has come so far, and how often."""
        # Phone.told waits for one event and drops all others, which must not go unseen here.
        for event in self._phone.take_events():
            self._note(event)
        return +self._told

    async def hang_up(self) -> None:
        """Closes the socket in good order. Twice is no error."""
        self.is_open = False
        await self._socket.aclose()

    async def leave(self) -> None:
        """Closes the socket, and on Socket.IO says so before, as the JavaScript client does.

        The Python client means to, but closes the socket before it has written that.
        """
        if isinstance(self._phone, SocketIoPhone):
            engine = self._phone._client.eio
            await engine.send("1")  # of a message, `41` as it is sent
            await engine.queue.join()
        await self.hang_up()

    async def die(self) -> None:
        """Ends as an app does that is killed; on Socket.IO, whose client can't, it hangs up."""
        if isinstance(self._phone, JsonPhone):
            await self._phone.die()
        await self.hang_up()

    def _note(self, event: tuple[float, str, dict[str, Any]]) -> None:
        came, name, data = event
        told = Told(name, str(data.get("callId", "")), str(data.get("reason", "")))
        self._told[told] += 1
        self.times.setdefault(told, Times(came, data.get("timestamp", 0)))
