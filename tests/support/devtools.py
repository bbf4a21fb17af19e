"""The DevTools protocol, by which a browser is driven.

https://chromedevtools.github.io/devtools-protocol/
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

Parameters = Mapping[str, Any]
Listener = Callable[[str, Parameters], None]

_ANSWER_SECONDS = 60.0  # a busy machine may take its time; only a browser that hangs needs them


class DevToolsError(Exception):
    """The browser can't do what it was told; the message says why."""


class DevTools:
    """A connection to a browser. Each page that is attached has a session of its own."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Parameters]] = {}
        self._listeners: dict[str, Listener] = {}

    async def call(self, method: str, session: str | None = None, **parameters: object) -> Any:
        """The result of a method, of the browser's own without `session`. Raises DevToolsError."""
        id = next(self._ids)
        answer = self._answers[id] = asyncio.get_running_loop().create_future()
        whose = {} if session is None else {"sessionId": session}
        message = {"id": id, "method": method, "params": parameters, **whose}
        try:
            await self._socket.send(json.dumps(message))
            return await asyncio.wait_for(answer, _ANSWER_SECONDS)
        finally:
            del self._answers[id]

    def listen(self, session: str, listener: Listener) -> None:
        """Has `listener` called with the method and the parameters of each event of a session."""
        self._listeners[session] = listener

    def forget(self, session: str) -> None:
        self._listeners.pop(session, None)  # a page that never showed anything has none

    async def read(self) -> None:
        """Reads what the browser says until it goes."""
        with suppress(ConnectionClosed):
            async for text in self._socket:
                self._take(json.loads(text))
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(DevToolsError("the browser is gone"))

    def _take(self, message: dict[str, Any]) -> None:
        if "id" not in message:
            if listener := self._listeners.get(message.get("sessionId", "")):
                listener(message["method"], message["params"])
            return
        answer = self._answers.get(message["id"])
        if answer is None or answer.done():
            return  # whoever has asked waits no more
        if "error" in message:
            answer.set_exception(DevToolsError(message["error"]["message"]))
        else:
            answer.set_result(message["result"])


@asynccontextmanager
async def devtools(url: str) -> AsyncIterator[DevTools]:
    """The DevTools of the browser that listens at `url`."""
    async with connect(url, max_size=None) as socket:
        tools = DevTools(socket)
        reading = asyncio.create_task(tools.read())
        try:
            yield tools
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
