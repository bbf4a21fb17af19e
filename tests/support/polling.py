"""A Socket.IO client that polls and then upgrades, as the functions `api` and `gateway` meet it."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import httpx

from functions import gateway
from functions.calls.call import ConnectionId
from functions.calls.event import unix_ms
from functions.clients.connection import Connection
from functions.clients.poll import Poll
from functions.inbound.http import Handler
from functions.settings import GatewaySettings
from tests.memory.others import TOKEN_PREFIX
from tests.memory.services import Services
from tests.support.api import Client, function_of
from tests.support.asgi import call
from tests.support.makers import now
from tests.support.processes import SECRET, settings_of

NOOP, CLOSE, UPGRADE = "6", "1", "5"
RECONNECT = '{"message":"reconnect"}'
SOCKET = "c="  # the id of the WebSocket to which it upgrades
UNKNOWN = 400, {"code": 1, "message": "Session ID unknown"}

# The headers into which API Gateway maps the parameters of a handshake.
_HEADERS = {
    "EIO": "unring-eio",
    "transport": "unring-transport",
    "sid": "unring-sid",
    "token": "unring-token",
    "userId": "unring-user-id",
    "deviceId": "unring-device-id",
    "ring": "unring-ring",
}


class PollingClient:
    """One client. `query` is what it says in each of its requests, and API Gateway's clock is
    `behind` that of the functions."""

    def __init__(self, services: Services, version: str = "4", **settings: str) -> None:
        self.services = services
        self.version = version
        self.query: dict[str, str] = {}
        self.sid: str | None = None
        self.behind = timedelta()
        self._settings = settings
        self.api = Client(function_of(services, **settings), services)
        self._gateway = _gateway(services, **settings)

    @property
    def costs(self) -> list[str]:
        """The remote calls that the last request took."""
        return self.services.journal.started

    @property
    def id(self) -> ConnectionId:
        assert self.sid
        return ConnectionId(self.sid.partition(".")[0])

    @property
    def session(self) -> Connection:
        return self.services.database.connections[self.id]

    @property
    def waiting(self) -> Poll:
        return self.services.database.polls[self.id]

    @property
    def socket(self) -> Connection:
        return self.services.database.connections[ConnectionId(SOCKET)]

    @property
    def posted(self) -> list[str]:
        """What came by its WebSocket, but for replies."""
        return self.services.clients.posted_to(SOCKET)

    def another_instance(self) -> "PollingClient":
        """The same client at another instance of `api`."""
        other = PollingClient(self.services, self.version, **self._settings)
        other.query, other.sid = self.query, self.sid
        return other

    # By `api`

    async def ask(
        self, method: str, body: bytes | None = None, bearer: str | None = None, **query: Any
    ) -> httpx.Response:
        """A request with this `query` beside what it always says; None leaves something out."""
        await asyncio.sleep(0.001)  # the way takes time
        said = {"EIO": self.version, "transport": "polling", "sid": self.sid, **self.query, **query}
        params = {name: value for name, value in said.items() if value is not None}
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        return await self.api.ask(
            method, "/socket.io/", None, params=params, content=body, headers=headers
        )

    async def begin(self, **query: str) -> list[str]:
        """A handshake; gives the packets in reply."""
        self.query = query
        packets = _packets(await self.ask("GET"))
        self.sid = json.loads(packets[0][1:])["sid"]
        return packets

    async def poll(self) -> list[str]:
        return _packets(await self.ask("GET"))

    async def post(self, *packets: str) -> httpx.Response:
        return await self.ask("POST", self._payload(packets).encode())

    async def emit(self, *packets: str) -> None:
        """Sends packets, all of which are taken."""
        answer = await self.post(*packets)
        assert (answer.status_code, answer.text) == (200, "ok")

    async def come(self, user: str) -> None:
        """A handshake, a CONNECT, and the poll that hears that it is admitted."""
        await self.begin()
        await self.emit(connect_of(user))
        assert await self.poll() == [f'40{{"sid":"{self.id}"}}']
        self.services.topic.clear()

    async def refusal(self, method: str = "GET", **query: Any) -> tuple[int, dict[str, Any]]:
        """The status and the content of an answer that must be no payload."""
        answer = await self.ask(method, b"2" if method == "POST" else None, **query)
        return answer.status_code, answer.json()

    def _payload(self, packets: tuple[str, ...]) -> str:
        if self.version == "3":
            return "".join(f"{len(packet)}:{packet}" for packet in packets)
        return "\x1e".join(packets)

    # By `gateway`

    async def open_socket(self, id: str = SOCKET, **said: str) -> int:
        """The status with which `$connect` is answered."""
        asked = {"EIO": self.version, "transport": "websocket", "sid": self.sid or ""}
        headers = {_HEADERS[name]: value for name, value in {**asked, **self.query, **said}.items()}
        return (await self._forward("CONNECT", id, "", headers)).status_code

    async def send(self, frame: str, id: str = SOCKET) -> str:
        """The reply to a frame by the WebSocket."""
        return (await self._forward("MESSAGE", id, frame)).text

    async def disconnect(self, id: str = SOCKET) -> None:
        """The WebSocket is closed."""
        self.services.clients.closed.append(id)
        await self._forward("DISCONNECT", id, "")

    async def upgrade(self) -> None:
        assert await self.open_socket() == 200
        assert await self.send("2probe") == "3probe"
        assert await self.send(UPGRADE) == NOOP

    async def _forward(
        self, type: str, id: str, body: str, more: dict[str, str] | None = None
    ) -> httpx.Response:
        await asyncio.sleep(0.001)
        self.services.journal.clear()
        headers = {
            "unring-secret": SECRET,
            "unring-connection-id": id,
            "unring-event-type": type,
            "unring-request-time": str(unix_ms(now() - self.behind)),
            **(more or {}),
        }
        return await call(self._gateway, body.encode(), headers)


def _gateway(services: Services, **settings: str) -> Handler:
    return gateway.handler(
        settings_of(GatewaySettings, **settings),
        services.store,
        services.sockets,
        services.publisher,
        services.identity,
        now,
    )


def _packets(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    said = answer.headers["content-type"], answer.headers["cache-control"]
    assert said == ("text/plain; charset=UTF-8", "no-store")
    version, text = answer.url.params["EIO"], answer.text
    if version == "4":
        return text.split("\x1e")
    packets = []
    while text:
        length, _, rest = text.partition(":")
        packets.append(rest[: int(length)])
        text = rest[int(length) :]
    return packets


def connect_of(user: str) -> str:
    """A CONNECT with the token of this user."""
    return f'40{{"token":"{token_of(user)}"}}'


def token_of(user: str) -> str:
    return f"{TOKEN_PREFIX}{user}"
