"""Clients that poll, and send whatever they like to the stack's one host."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

import httpx
from websockets.asyncio.client import ClientConnection, connect

from infra.local.stack import Stack

UNKNOWN = 400, 1  # the status and the code of a session that is not known
SEPARATOR = "\x1e"

Query = Mapping[str, str | list[str] | None]  # None takes a parameter out, a list gives it twice


@dataclass(frozen=True)
class Poller:
    """One client, once it has a session. `query` is what it says in each of its requests."""

    stack: Stack
    http: httpx.AsyncClient  # at the one host
    query: Mapping[str, str]
    secrets: list[str] = field(default_factory=list)  # none of which may be in any log

    @property
    def sid(self) -> str:
        return self.query["sid"]

    @property
    def id(self) -> str:
        """Of the session, which is no secret."""
        return self.sid.partition(".")[0]

    async def get(self, **query: Any) -> httpx.Response:
        return await self.ask("GET", b"", **query)

    async def post(self, content: Any, **query: Any) -> httpx.Response:
        return await self.ask("POST", content, **query)

    async def ask(self, method: str, content: Any, **query: Any) -> httpx.Response:
        params = asked({**self.query, **query})
        return await self.http.request(method, "/socket.io/", params=params, content=content)

    async def packets(self) -> list[str]:
        """What the next poll gives."""
        return packets_in(await self.get())

    async def verdict(self, event: str, **data: object) -> dict[str, Any]:
        """Emits with an ack; gives the verdict, once it is polled. Events are passed over."""
        said = f"427{json.dumps([event, data])}"
        answer = await self.post(self.payload(said))
        assert answer.text == "ok", answer.text
        while True:
            for packet in await self.packets():
                if packet.startswith("437"):
                    (verdict,) = json.loads(packet.removeprefix("437"))
                    return dict(verdict)

    def payload(self, *packets: str) -> str:
        if self.query["EIO"] == "3":
            return "".join(f"{len(packet)}:{packet}" for packet in packets)
        return SEPARATOR.join(packets)

    def but(self, **query: str | None) -> "Poller":
        """The same with other words in its query."""
        said = {**self.query, **query}
        return replace(self, query={name: word for name, word in said.items() if word is not None})

    @asynccontextmanager
    async def socket(self, **query: Any) -> AsyncIterator[ClientConnection]:
        """A WebSocket that bears the session's sid. Raises InvalidStatus when it is refused."""
        params = asked({**self.query, "transport": "websocket", **query})
        async with connect(f"{self.stack.websocket}?{urlencode(params, doseq=True)}") as socket:
            yield socket

    async def upgraded(self, socket: ClientConnection) -> None:
        """Has the session go over to the socket."""
        await socket.send("2probe")
        assert await socket.recv() == "3probe"
        await socket.send("5")
        assert await socket.recv() == "6"


async def begun(
    stack: Stack,
    http: httpx.AsyncClient,
    *,
    version: str = "4",
    secrets: list[str] | None = None,
    **query: str,
) -> Poller:
    """A client that has had its handshake, with this in its query."""
    said = {"EIO": version, "transport": "polling", **query}
    answer = await http.get("/socket.io/", params=said)
    assert answer.status_code == 200, answer.text
    found = re.search(r'"sid":"([^"]+)"', answer.text)
    assert found
    kept = [] if secrets is None else secrets
    kept += [found[1].partition(".")[2], *(said[name] for name in ("token",) if name in said)]
    return Poller(stack, http, {**said, "sid": found[1]}, kept)


async def let_in(
    stack: Stack, http: httpx.AsyncClient, user: str, *, secrets: list[str] | None = None
) -> Poller:
    """A client of version 4 that shows its token as most do, in its CONNECT, and is let in."""
    poller = await begun(stack, http, secrets=secrets)
    token = stack.token(user)
    poller.secrets.append(token)
    await poller.post("40" + json.dumps({"token": token}))
    assert f'40{{"sid":"{poller.id}"}}' in await poller.packets()
    return poller


def packets_in(answer: httpx.Response) -> list[str]:
    """Of a client of version 4."""
    assert answer.status_code == 200, answer.text
    return answer.text.split(SEPARATOR)


def refusal(answer: httpx.Response) -> tuple[int, int]:
    """Its status and code; it says why, too."""
    content = answer.json()
    assert content["message"]
    return answer.status_code, content["code"]


def asked(query: Query) -> dict[str, str | list[str]]:
    return {name: said for name, said in query.items() if said is not None}
