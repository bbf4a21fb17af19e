"""A phone's app, as far as calls go: one socket, what it sends, and what it is told."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import perf_counter
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from infra.local.tokens import unsigned_token

_PATIENCE_SECONDS = 10.0


class Phone:
    """Speaks the JSON wire over an open socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._events: asyncio.Queue[tuple[float, dict[str, Any]]] = asyncio.Queue()
        self._reader = asyncio.create_task(self._read())

    async def emit(self, event: str, **data: object) -> dict[str, Any]:
        """Sends one frame; gives the verdict that answers it."""
        id = next(self._ids)
        answer = self._answers[id] = asyncio.get_running_loop().create_future()
        await self.socket.send(json.dumps({"event": event, "data": data, "id": id}))
        try:
            return await asyncio.wait_for(answer, _PATIENCE_SECONDS)
        finally:
            del self._answers[id]

    async def told(self, event: str) -> dict[str, Any]:
        """Waits for `event`; gives its data, and under `at` when it came (perf_counter, s)."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while True:
                at, frame = await self._events.get()
                if frame.get("event") == event:
                    return {**frame["data"], "at": at}

    def untold(self) -> int:
        """How many events have come that nobody has waited for yet."""
        return self._events.qsize()

    async def hang_up(self) -> None:
        """Closes the socket as an app does that is closed by hand."""
        await self.socket.close()
        await self._reader

    async def die(self) -> None:
        """Ends the connection without a word, as an app does that is killed."""
        self.socket.transport.abort()
        await self._reader

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                text = await self.socket.recv()
                self._sort(perf_counter(), json.loads(text))

    def _sort(self, at: float, frame: dict[str, Any]) -> None:
        answer = self._answers.get(frame.get("id", 0))
        if frame.get("event") == "ack" and answer is not None:
            answer.set_result(frame["data"])
        else:
            self._events.put_nowait((at, frame))


@asynccontextmanager
async def phone(url: str, user: str, project: str) -> AsyncIterator[Phone]:
    """A phone of `user`, connected and authenticated."""
    headers = {"Authorization": f"Bearer {unsigned_token(user, project)}"}
    async with connect(url, additional_headers=headers) as socket:
        yield Phone(socket)
