"""Who cancels and who is told: phones with real sockets, in a process of their own.

There the services take them no time of their event loop, so a cancel is sent when it is due. All
times are of one clock, perf_counter's, which the processes of a machine share.
"""

import asyncio
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from time import perf_counter

from socketio.exceptions import SocketIOError
from websockets.exceptions import WebSocketException

from infra.bench.cpu import Accounts
from infra.client.phone import Phone, json_phone, socketio_phone

_ARRIVING_AT_ONCE = 8
_TRIES = 5  # of a phone to connect
_PAUSE_SECONDS = 1.0
_LATE_SECONDS = 15.0  # after the last was due, what has not come is lost


@dataclass(frozen=True, slots=True)
class Server:
    """One of those that are compared."""

    url: str  # of its sockets
    pids: Mapping[str, int]  # of the processes whose CPU counts, by name
    speaks_socketio: bool = True  # or JSON


@dataclass(frozen=True, slots=True)
class Cancel:
    """A call that rings, between whom, and when it is cancelled, in seconds from the start."""

    call: str
    caller: str
    receiver: str
    due: float


@dataclass(slots=True)
class Timing:
    """What became of a cancel: when it was due, when the last of the receiver's phones was told,
    and when the caller was answered, by perf_counter. None is never."""

    call: str
    due: float
    told: float | None = None
    answered: float | None = None


@dataclass(frozen=True, slots=True)
class Played:
    """What became of all cancels, and the seconds of CPU that each process took for them."""

    timings: Sequence[Timing]
    cpu: Mapping[str, float]


class Generator:
    """The process; plays one thing at a time."""

    def __init__(self, process: ProcessPoolExecutor) -> None:
        self._process = process

    async def play(
        self, server: Server, arriving: Sequence[tuple[str, str]], cancels: Sequence[Cancel]
    ) -> Played:
        """Connects a phone for each of `arriving`, a user and his token, and has the first of each
        caller's phones cancel. All phones of a receiver must be told."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._process, _play, server, arriving, cancels)


@contextmanager
def generator() -> Iterator[Generator]:
    """The process lasts as long as the block."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as process:
        yield Generator(process)


def _play(server: Server, arriving: Sequence[tuple[str, str]], cancels: Sequence[Cancel]) -> Played:
    return asyncio.run(_played(server, arriving, cancels))


async def _played(
    server: Server, arriving: Sequence[tuple[str, str]], cancels: Sequence[Cancel]
) -> Played:
    accounts = Accounts(server.pids)
    async with AsyncExitStack() as open_sockets:
        crowd = Crowd(server, open_sockets)
        await crowd.arrive(arriving)
        before = await accounts.at_rest()
        timings = await crowd.cancel(cancels)
        after = await accounts.at_rest()
    return Played(timings, {name: after[name] - before[name] for name in after})


class Crowd:
    """The phones that are connected, and what they were told."""

    def __init__(self, server: Server, open_sockets: AsyncExitStack) -> None:
        self._server = server
        self._open_sockets = open_sockets
        self._phones: dict[str, list[Phone]] = {}
        self._timings: dict[str, Timing] = {}
        self._untold: dict[str, set[Phone]] = {}  # of each call
        self._changed = asyncio.Event()

    async def arrive(self, arriving: Sequence[tuple[str, str]]) -> None:
        waiting = iter(arriving)

        async def connect() -> None:
            for user, token in waiting:
                self.join(user, await self._connected(token))

        await asyncio.gather(*(connect() for _ in range(_ARRIVING_AT_ONCE)))

    def join(self, user: str, phone: Phone) -> None:
        """One more of a user's phones, which is connected."""
        self._phones.setdefault(user, []).append(phone)

    async def _connected(self, token: str, tries: int = _TRIES) -> Phone:
        """As an app does, it tries again where the server is too busy to let it in."""
        dial = socketio_phone if self._server.speaks_socketio else json_phone
        try:
            return await self._open_sockets.enter_async_context(dial(self._server.url, token))
        except (WebSocketException, SocketIOError, OSError):
            if tries == 1:
                raise
        await asyncio.sleep(_PAUSE_SECONDS)
        return await self._connected(token, tries - 1)

    async def cancel(self, cancels: Sequence[Cancel]) -> list[Timing]:
        """Sends each when it is due, whatever has become of those before, and waits for all."""
        receivers = {cancel.receiver for cancel in cancels}
        hearing = [phone for user in receivers for phone in self._phones[user]]
        listening = [asyncio.create_task(self._hear(each)) for each in hearing]
        began = perf_counter()
        sending = []
        for cancel in cancels:
            self._untold[cancel.call] = set(self._phones[cancel.receiver])
            timing = self._timings[cancel.call] = Timing(cancel.call, began + cancel.due)
            await asyncio.sleep(timing.due - perf_counter())
            sending.append(asyncio.create_task(self._send(cancel, timing)))
        await self._until_all_are_told()
        for task in (*sending, *listening):
            task.cancel()
        await asyncio.gather(*sending, *listening, return_exceptions=True)
        return list(self._timings.values())

    async def _send(self, cancel: Cancel, timing: Timing) -> None:
        await self._phones[cancel.caller][0].emit("call:cancel", callId=cancel.call)
        timing.answered = perf_counter()
        self._changed.set()

    async def _hear(self, phone: Phone) -> None:
        while True:
            at, event, data = await phone.next_event()
            call = str(data.get("callId"))
            if event != "call:cancelled" or phone not in self._untold.get(call, ()):
                continue  # a copy, or what a phone is told that has just come back
            self._untold[call].discard(phone)
            if not self._untold[call]:
                self._timings[call].told = at
                self._changed.set()

    async def _until_all_are_told(self) -> None:
        try:
            async with asyncio.timeout(_LATE_SECONDS):
                while not all(each.told and each.answered for each in self._timings.values()):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return
