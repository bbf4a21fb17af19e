"""A phone's app, as far as calls go: one socket, what it sends, and what it is told."""

import asyncio
import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from time import perf_counter
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
import socketio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from infra.emulators.auth.tokens import unsigned_token

COLD_START_SECONDS = 15.0  # by then a deployed function answers, even one that starts cold


class Phone(ABC):
    """An app with an open socket, whichever wire it speaks."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[tuple[float, str, dict[str, Any]]] = asyncio.Queue()

    @abstractmethod
    async def emit(self, event: str, **data: object) -> dict[str, Any]:
        """Sends one frame; gives the verdict that answers it."""

    async def told(self, event: str) -> dict[str, Any]:
        """Waits for `event`; gives its data, and under `at` when it came (perf_counter, s)."""
        others: list[str] = []
        try:
            async with asyncio.timeout(COLD_START_SECONDS):
                while True:
                    at, name, data = await self.next_event()
                    if name == event:
                        return {**data, "at": at}
                    others.append(name or json.dumps(data))
        except TimeoutError as error:
            raise TimeoutError(f"what came: {', '.join(others) or 'nothing'}") from error

    async def next_event(self) -> tuple[float, str, dict[str, Any]]:
        """Waits for an event: when it came (perf_counter, s), its name, its data."""
        return await self._events.get()

    def take_events(self) -> list[tuple[float, str, dict[str, Any]]]:
        """Those that have come and that nobody has waited for yet, as `next_event` gives them."""
        return [self._events.get_nowait() for _ in range(self.untold())]

    def untold(self) -> int:
        """How many events have come that nobody has waited for yet."""
        return self._events.qsize()

    def _tell(self, event: str, data: dict[str, Any]) -> None:
        self._events.put_nowait((perf_counter(), event, data))


class JsonPhone(Phone):
    """Speaks the JSON wire."""

    def __init__(self, socket: ClientConnection) -> None:
        super().__init__()
        self.socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reader = asyncio.create_task(self._read())

    async def emit(self, event: str, **data: object) -> dict[str, Any]:
        id = next(self._ids)
        answer = self._answers[id] = asyncio.get_running_loop().create_future()
        await self.socket.send(json.dumps({"event": event, "data": data, "id": id}))
        try:
            return await asyncio.wait_for(answer, COLD_START_SECONDS)
        finally:
            del self._answers[id]

    async def hang_up(self) -> None:
        """Closes the socket as an app does that is closed by hand."""
        await self.socket.close()
        await self._reader

    async def emit_and_hang_up(self, event: str, **data: object) -> None:
        """Sends one frame and closes the socket right after it, as an app does whose user leaves
        the screen: nobody hears the verdict."""
        await self.socket.send(json.dumps({"event": event, "data": data}))
        await self.hang_up()

    async def die(self) -> None:
        """Ends the connection without a word, as an app does that is killed."""
        self.socket.transport.abort()
        await self._reader

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                self._sort(json.loads(await self.socket.recv()))

    def _sort(self, frame: dict[str, Any]) -> None:
        answer = self._answers.get(frame.get("id", 0))
        if frame.get("event") == "ack" and answer is not None:
            answer.set_result(frame["data"])
        else:
            self._tell(frame.get("event", ""), frame.get("data", frame))


class SocketIoPhone(Phone):
    """Speaks Socket.IO, by python-socketio's own client."""

    def __init__(self, client: socketio.AsyncClient) -> None:
        super().__init__()
        self._client = client
        client.on("*", self._told)

    @property
    def transport(self) -> str:
        """By which it speaks now: "polling" or "websocket"."""
        return str(self._client.transport())

    async def emit(self, event: str, **data: object) -> dict[str, Any]:
        verdict: dict[str, Any] = await self._client.call(event, data, timeout=COLD_START_SECONDS)
        return verdict

    async def _told(self, event: str, data: dict[str, Any]) -> None:
        self._tell(event, data)


def phone(url: str, user: str, project: str) -> AbstractAsyncContextManager[JsonPhone]:
    """A phone of `user` on the JSON wire of a local stack."""
    return json_phone(url, unsigned_token(user, project))


@asynccontextmanager
async def json_phone(
    url: str, token: str, *, device: str | None = None
) -> AsyncIterator[JsonPhone]:
    """A phone on the JSON wire, connected and authenticated; it may say on which `device` it is."""
    headers = {"Authorization": f"Bearer {token}"}
    query = f"?{urlencode({'deviceId': device})}" if device else ""
    async with connect(url + query, additional_headers=headers) as socket:
        yield JsonPhone(socket)


@asynccontextmanager
async def socketio_phone(
    url: str,
    token: str,
    path: str = "socket.io",
    device: str | None = None,
    *,
    user: str | None = None,
    transports: Sequence[str] = ("websocket",),
) -> AsyncIterator[SocketIoPhone]:
    """A phone on the Socket.IO wire, let in; it may say on which `device` it is, and whose. `url`
    is the one for JSON phones, whose own path does not matter here. Of several `transports`, which
    one host must have, it begins with the first."""
    parts = urlsplit(url)
    said = {"token": token, "deviceId": device, "userId": user}
    # Its own session would stay open if connecting failed, and its own SIGINT handler would take
    # the signal from whoever runs us.
    async with aiohttp.ClientSession() as http:
        client = socketio.AsyncClient(http_session=http, handle_sigint=False)
        made = SocketIoPhone(client)
        await client.connect(
            f"{parts.scheme.replace('ws', 'http')}://{parts.netloc}",
            transports=list(transports),
            auth={name: value for name, value in said.items() if value},
            socketio_path=path,
            wait_timeout=COLD_START_SECONDS,
        )
        try:
            yield made
        finally:
            await client.disconnect()
