"""Socket.IO clients that come for one input and go: with a token that is bad, or to say goodbye."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from random import Random
from typing import TypeVar
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from infra.emulators.auth.tokens import unsigned_token
from infra.local.stack import Stack
from tests.proof.bad_input.case import World, is_passing, printable
from tests.proof.bad_input.frames import RECONNECT
from tests.proof.bad_input.tokens import bad_token
from tests.proof.bad_input.traces import Passed
from tests.support.collections import CONNECTIONS

NOBODYS = '["call:cancel",{"callId":"CALL_NOBODY_HAS"}]'

_CLOSE = "1"
_TOKEN_LIMIT = 300  # characters, of up to twelve in a URL, which may have 4,096
_PATIENCE_SECONDS = 20.0
_TRIES = 3
# Of a session that a goodbye has ended, and of one that it has not.
_AFTER = tuple(f'437[{{"ok":false,"outcome":"{outcome}"' for outcome in ("forbidden", "not_found"))

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Visitor:
    """A Socket.IO client of one Engine.IO version; without a user it is not let in.

    `passed` takes its connections.
    """

    stack: Stack
    version: int
    user: str | None
    passed: Passed

    @asynccontextmanager
    async def entered(self) -> AsyncIterator[ClientConnection]:
        """Its socket, once it has been let in."""
        token = self.user and unsigned_token(self.user, self.stack.project)
        async with self._opened(token if self.version == 3 else None) as socket:
            if token and self.version == 4:
                await socket.send(f"40{json.dumps({'token': token})}")
            if token:
                await _received(socket, "40")
            yield socket

    async def say_goodbye(self, frame: str) -> str | None:
        """Sends what may end a session on one of its own; gives a sentence on a wrong answer.

        Whether it was ended or not, what the client sends then is answered, and does nothing. Only
        the packet that asks for the close of the socket gets that.
        """

        async def ask() -> tuple[str, str] | None:
            async with self.entered() as socket:
                await socket.send(frame)
                if frame == _CLOSE:
                    async with asyncio.timeout(_PATIENCE_SECONDS):
                        await socket.wait_closed()
                    return None
                answer = await _next(socket)
                await socket.send(f"427{NOBODYS}")
                return answer, await _next(socket)

        try:
            answers = await _patiently(ask)
        except _FAILURES as error:
            return f"is not answered: {error!r}"
        if answers is None:
            return None
        answer, after = answers
        if answer != "6":
            return f"is answered {answer[:80]!r}"
        return None if after.startswith(_AFTER) else f"is followed by {after[:80]!r}"

    async def be_turned_away(self, token: str) -> str | None:
        """Shows a bad token, and is let connect to be told so; gives a sentence if it isn't."""

        async def ask() -> str:
            async with self._opened(token) as socket:
                if self.version == 4:
                    await socket.send("40")
                return await _next(socket)

        try:
            answer = await _patiently(ask)
        except _FAILURES as error:
            return f"is not told why: {error!r}"
        is_told = answer.startswith("44") and len(answer) > len('44{"message":""}')
        return None if is_told else f"is told {answer[:80]!r}"

    @asynccontextmanager
    async def _opened(self, token: str | None) -> AsyncIterator[ClientConnection]:
        """Its socket, once it has had the open packet."""
        query = {"EIO": self.version, "transport": "websocket"}
        shown = query if token is None else {**query, "token": token}
        url = f"{self.stack.websocket}?{urlencode(shown, errors='replace')}"
        async with connect(url, compression=None) as socket:
            opening = json.loads((await _received(socket, "0{"))[1:])
            self.passed[f"{CONNECTIONS}/{opening['sid']}"] = self.user
            yield socket


async def turn_away(
    stack: Stack, world: World, passed: Passed, random: Random
) -> tuple[bytes, str | None]:
    """A Socket.IO client with a bad token: gives that, and a sentence if it is not told why."""
    visitor = Visitor(stack, random.choice((3, 4)), None, passed)
    token = printable(bad_token(random, world)[:_TOKEN_LIMIT])
    return token.encode(errors="replace"), await visitor.be_turned_away(token)


async def _received(socket: ClientConnection, beginning: str) -> str:
    while not (frame := await _next(socket)).startswith(beginning):
        pass
    return frame


async def _next(socket: ClientConnection) -> str:
    """Raises _ComeAgain, and TimeoutError."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        frame = str(await socket.recv())
    if frame == RECONNECT.decode() or is_passing(frame.encode()):
        raise _ComeAgain(frame)
    return frame


class _ComeAgain(Exception):
    """The client is told to come again, as Firestore was too slow just now."""


_FAILURES = (InvalidStatus, ConnectionClosed, TimeoutError, _ComeAgain)


async def _patiently(work: Callable[[], Awaitable[_Result]]) -> _Result:
    """What comes of `work`, which is done again when its client is told to come again."""
    for _ in range(_TRIES - 1):
        try:
            return await work()
        except _ComeAgain:
            continue
        except InvalidStatus as error:
            if error.response.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
                raise
    return await work()
