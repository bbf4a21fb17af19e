"""The whole app that asked for Unring, with nothing changed but its URL: its phones, which speak to
their socket server and to their backend.

Its client is socket.io-client-java 2.1.0, which does not run here. Those for JavaScript, versions 4
and 3, stand in for it: they speak the same protocol (EIO4), and have the options that the app gives
its own.
"""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

import httpx

from infra.client.calls import Calls
from infra.local.stack import Stack
from tests.e2e.socketio_support import has_no_more, is_delivered
from tests.support.agora import EVENTS, Device, Phone
from tests.support.agora_backend import AgoraBackend
from tests.support.httprelay import HttpRelay
from tests.support.pages import section
from tests.support.socketio import SocketIoApp, socketio_client

# What the app gives its client beside `auth`.
OPTIONS: Mapping[str, object] = {
    "transports": ["polling", "websocket"],
    "upgrade": True,
    "forceNew": True,
    "reconnectionDelay": 1000,
    "reconnectionDelayMax": 5000,
    "reconnectionAttempts": 5,
    "timeout": 10000,
}


def settings_of_the_page(backend: AgoraBackend) -> dict[str, str]:
    """What docs/adopting.md has Unring told of the app, with the address of its backend."""
    page = section("docs/adopting.md", "The app that asked")
    (listed,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    settings = dict(line.split("=", 1) for line in listed.splitlines())
    url = settings["INTROSPECTION_URL"].removeprefix("https://app.example")
    return {**settings, "INTROSPECTION_URL": f"{backend.origin}{url}"}


@dataclass(frozen=True)
class Installed(Device):
    """The app on a phone whose user has signed in at the backend."""

    backend: AgoraBackend
    token: str

    async def initiates(self, receiver: str, type: str) -> dict[str, str]:
        """Has the backend make a call, whose ring it pushes; gives what it tells of it."""
        answer = await self._rest("POST", "initiate", {"receiverId": receiver, "callType": type})
        made: dict[str, str] = answer.raise_for_status().json()["data"]
        return made

    async def asks(self, step: str, call: str, **said: str) -> bool:
        """Has the backend take a step with a call; says whether it did."""
        answer = await self._rest("POST", f"{call}/{step}", said)
        return answer.status_code == HTTPStatus.OK

    async def sees(self, call: str) -> str:
        """The call's status, for which the app's screens ask every other second."""
        answer = await self._rest("GET", call)
        return str(answer.raise_for_status().json()["data"]["status"])

    async def _rest(
        self, method: str, path: str, said: Mapping[str, str] | None = None
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            url = f"{self.backend.api}/calls/{path}"
            return await http.request(method, url, json=said, headers=headers)


@dataclass(frozen=True)
class Connected(Phone, Installed):
    """The app with its socket, which may still be polling."""

    async def initiate(self, to: Installed, type: str = "AUDIO") -> dict[str, str]:
        """Calls somebody, as the app does, and waits until the phone there is woken; gives what it
        is to read of the call."""
        made = await self.initiates(to.user, type)
        said = {name: made[name] for name in ("callId", "channelName", "agoraToken")}
        said["callType"] = type
        answer = await self.app.emit("call:initiate", receiverId=to.user, **said)
        assert (answer["success"], answer["callId"]) == (True, made["callId"])
        assert isinstance(answer["message"], str)
        woken = await to.is_pushed("incoming_call", made["callId"])
        assert (woken["channelId"], woken["callerId"]) == (made["channelName"], self.user)
        return {**said, "callerId": self.user, "callerName": f"User {self.user}"}

    async def does(self, step: str, call: str, *, late: bool = False, **said: str) -> None:
        """Emits it, without a callback, and asks the backend at the same time. The emit may be
        `late`: then the backend has done all that it does by then."""
        asking = asyncio.create_task(self.asks(step, call, **said))
        if late:
            await asking
        await self.app.emit_without_ack(f"call:{step}", callId=call, **said)
        await asking


@dataclass(frozen=True)
class World:
    """The app's socket server, its backend, and the way from its phones to both."""

    stack: Stack
    backend: AgoraBackend
    way: HttpRelay
    kind: str  # of the clients

    async def installed(self, user: str) -> Installed:
        """The app on another phone of `user`; his backend tells Unring of it."""
        token, device = self.backend.issue(user), uuid.uuid4().hex
        await self.backend.know(user, device)
        return Installed(self.stack, user, device, self.backend, token)

    @asynccontextmanager
    async def connected(self, on: Installed) -> AsyncIterator[Connected]:
        """The app opens its socket."""
        async with self.client(on.token, on.user) as app:
            await app.connected()
            yield Connected(self.stack, on.user, on.device, self.backend, on.token, app)
            await (app.upgraded() if self.way.websockets else app.not_upgraded())
            assert (app.count("connected"), app.count("disconnected")) == (1, 0)

    def client(self, token: str, user: str) -> AbstractAsyncContextManager[SocketIoApp]:
        return socketio_client(
            self.kind,
            self.way.url,
            token=token,
            user=user,
            events=EVENTS,
            by_default=True,
            node_options=OPTIONS,
        )

    async def is_delivered(self, call: str) -> None:
        await is_delivered(Calls(self.stack.firestore, self.stack.project), call)


@dataclass(frozen=True)
class Parties:
    """A caller and a receiver, both connected, whom nobody else knows."""

    world: World
    his: Connected
    hers: Connected

    async def ring(self, type: str = "AUDIO") -> str:
        """Has a call ring; gives its id."""
        said = await self.his.initiate(self.hers, type)
        await self.hers.reads("call:incoming", **said)
        # What ends before that is told once more, in case that the ring came after it.
        await self.world.is_delivered(said["callId"])
        return said["callId"]

    async def hear_no_more(self, call: str) -> None:
        await self.world.is_delivered(call)
        assert await has_no_more(self.his.app)
        assert await has_no_more(self.hers.app)
