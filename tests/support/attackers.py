"""Clients that send any frame they like, on every wire, and keep every frame that they hear."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

from google.cloud.firestore import AsyncClient, FieldFilter
from websockets.asyncio.client import ClientConnection, connect

from functions.clients.connection import Wire
from infra.local.stack import Stack
from tests.support.collections import CONNECTIONS
from tests.support.pace import PATIENCE_SECONDS

_ACK = 7  # in every frame, so that answers can be compared byte for byte


class Attacker:
    """One open socket. `heard` has the frames that came and answered nothing, oldest first."""

    def __init__(self, socket: ClientConnection, wire: Wire) -> None:
        self.socket = socket
        self.wire = wire
        self.heard: list[str] = []

    async def ask(self, event: str, data: object, **beside: object) -> str:
        """Sends an event; gives the frame that answers it, as it is.

        `beside` stands next to `data`: in the frame of a JSON client, as a further argument of a
        Socket.IO client.
        """
        if self.wire is Wire.JSON:
            frame = {"event": event, "data": data, "id": _ACK, **beside}
            return await self.answer(json.dumps(frame))
        arguments = [event, data, *([beside] if beside else [])]
        return await self.answer(f"42{_ACK}{json.dumps(arguments)}")

    async def verdict(self, event: str, data: object, **beside: object) -> dict[str, Any]:
        """What `ask` is answered, read."""
        answer = await self.ask(event, data, **beside)
        if self.wire is Wire.JSON:
            said: dict[str, Any] = json.loads(answer)["data"]
            return said
        (verdict,) = json.loads(answer.removeprefix(f"43{_ACK}"))
        return dict(verdict)

    async def answer(self, frame: str) -> str:
        """Sends a frame; gives the next one that is no event of somebody else's making."""
        await self.socket.send(frame)
        while _is_event(answer := await self.next()):
            self.heard.append(answer)
        return answer

    async def next(self) -> str:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return str(await self.socket.recv())

    async def told(self) -> str:
        """Waits for the next event; gives its frame."""
        if not self.heard:
            self.heard.append(await self.next())
        return self.heard.pop(0)

    async def hears_nothing(self) -> bool:
        """Whether nothing has come: what was sent before an answer comes before it."""
        await self.answer("2" if self.wire is not Wire.JSON else "{}")
        return not self.heard


def _is_event(frame: str) -> bool:
    return frame.startswith(('42["call:', '{"event":"call:'))


@asynccontextmanager
async def attacker(
    stack: Stack, wire: Wire, token: str | None = None, user: str | None = None
) -> AsyncIterator[Attacker]:
    """A client whose handshake is done, and, if the token is good, that has been let in.

    `token` and `user` are what it shows and says, where its wire usually has them: the query, or
    for Socket.IO 3 and 4 the CONNECT packet. What answers that packet is then heard first.
    """
    said = {name: value for name, value in (("token", token), ("userId", user)) if value}
    if wire is Wire.EIO4:
        async with connected(stack, EIO="4", transport="websocket") as socket:
            client = Attacker(socket, wire)
            assert (await client.next()).startswith("0{")
            await socket.send(f"40{json.dumps(said)}" if said else "40")
            client.heard.append(await client.next())
            yield _let_in(client)
        return
    eio = {"EIO": "3", "transport": "websocket"} if wire is Wire.EIO3 else {}
    async with connected(stack, **said, **eio) as socket:
        client = Attacker(socket, wire)
        if wire is Wire.EIO3:
            assert (await client.next()).startswith("0{")
            client.heard.append(await client.next())
        yield _let_in(client)


async def connection_of(documents: AsyncClient, user: str) -> str:
    """The id of the one connection of `user`, which an attacker would have to guess."""
    query = documents.collection(CONNECTIONS).where(filter=FieldFilter("userId", "==", user))
    (snapshot,) = await query.get()
    return str(snapshot.id)


def _let_in(client: Attacker) -> Attacker:
    if client.heard and client.heard[0].startswith("40"):
        client.heard.clear()
    return client


@asynccontextmanager
async def connected(stack: Stack, **query: str) -> AsyncIterator[ClientConnection]:
    """A socket whose handshake has this query string. Raises InvalidStatus when it is refused."""
    async with connect(f"{stack.websocket}?{urlencode(query)}") as socket:
        yield socket
