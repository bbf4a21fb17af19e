"""What tests of the embedded API Gateway share: a backend on a real port, and clients for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.config import Config
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route as HttpRoute
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from infra.emulators.apigateway import AccessKeys, ApiGateway, Options, Route
from infra.emulators.http import serving
from tests.support.pace import PATIENCE_SECONDS

MAPPED = {
    "integration.request.header.Test-Connection-Id": "context.connectionId",
    "integration.request.header.Test-Event-Type": "context.eventType",
    "integration.request.header.Test-Route-Key": "context.routeKey",
    "integration.request.header.Test-Epoch": "context.requestTimeEpoch",
}
# Access key id, secret and session token for a gateway that asks for none.
ANY_KEY = ("AKIDANY", "any", None)
AS_ON_AWS = Options()
ALL_ROUTES = ("$connect", "$default", "$disconnect")


@dataclass(frozen=True)
class Seen:
    """A request as the backend received it."""

    method: str
    headers: Headers
    query: str
    body: bytes

    @property
    def event_type(self) -> str:
        return self.headers["test-event-type"]

    @property
    def connection_id(self) -> str:
        return self.headers["test-connection-id"]


Answer = Callable[[Seen], Awaitable[Response]]


async def echo(seen: Seen) -> Response:
    return Response(seen.body)


class Backend:
    """An HTTP server that records what it is sent and answers as it is told."""

    def __init__(self) -> None:
        self.answer: Answer = echo
        self.seen: asyncio.Queue[Seen] = asyncio.Queue()

    def reset(self) -> None:
        self.answer = echo
        self.seen = asyncio.Queue()

    async def next(self, event_type: str | None = None) -> Seen:
        """The next request, or the next one of that event type; others are dropped."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                seen = await self.seen.get()
                if event_type in (None, seen.event_type):
                    return seen

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Backend"]:
        routes = [HttpRoute("/{path:path}", self._handle, methods=["POST"])]
        async with serving(Starlette(routes=routes), grace=0) as url:
            self.url = f"{url}/function"
            yield self

    async def _handle(self, request: Request) -> Response:
        body = await request.body()
        seen = Seen(request.method, request.headers, request.url.query, body)
        await self.seen.put(seen)
        return await self.answer(seen)


@asynccontextmanager
async def running_gateway(
    backend: Backend,
    options: Options = AS_ON_AWS,
    *,
    routes: tuple[str, ...] = ALL_ROUTES,
    credentials: AccessKeys | None = None,
    two_way: bool = True,
) -> AsyncIterator[ApiGateway]:
    table = {key: Route(backend.url, MAPPED, route_response=two_way) for key in routes}
    async with ApiGateway(table, options, credentials) as gateway:
        yield gateway


def phone(url: str, **settings: Any) -> connect:
    """A WebSocket client that is not helped: no compression, no pings, no proxy."""
    defaults = {"compression": None, "ping_interval": None, "proxy": None, "max_size": None}
    return connect(url, **(defaults | settings))


@asynccontextmanager
async def connected(
    gateway: ApiGateway, backend: Backend
) -> AsyncIterator[tuple[ClientConnection, str]]:
    """A connected phone and its connection id; its $connect is taken out of the record."""
    async with phone(gateway.websocket_url) as client:
        yield client, (await backend.next("CONNECT")).connection_id


@cache
def boto() -> boto3.session.Session:
    """A session that all clients share: each of its own would read AWS's descriptions again."""
    return boto3.session.Session()


def management_client(
    gateway: ApiGateway,
    key: tuple[str, str, str | None] = ANY_KEY,
    *,
    region: str = "us-east-1",
    url: str | None = None,
) -> Any:
    """An unmodified boto3 client of @connections."""
    return boto().client(
        "apigatewaymanagementapi",
        endpoint_url=url or gateway.connections_url.removesuffix("/@connections"),
        region_name=region,
        aws_access_key_id=key[0],
        aws_secret_access_key=key[1],
        aws_session_token=key[2],
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )


async def post(client: Any, connection_id: str, data: bytes) -> Any:
    return await asyncio.to_thread(client.post_to_connection, ConnectionId=connection_id, Data=data)


def answering(status: int, body: str = "", **headers: str) -> Answer:
    """The same answer to everything; underscores in header names stand for hyphens."""

    async def answer(seen: Seen) -> Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return PlainTextResponse(body, status, named)

    return answer


def hanging_on(event_type: str) -> tuple[Answer, asyncio.Event]:
    """An answer that comes, to requests of that event type, only once the event is set."""
    release = asyncio.Event()

    async def answer(seen: Seen) -> Response:
        if seen.event_type == event_type:
            await release.wait()
        return Response(seen.body)

    return answer, release


async def close_code(client: ClientConnection) -> int | None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await client.wait_closed()
    return client.close_code


async def refused(url: str, **settings: Any) -> InvalidStatus:
    """The refusal of a handshake that must not succeed."""
    with pytest.raises(InvalidStatus) as refusal:
        await phone(url, **settings)
    return refusal.value


async def raw_client(gateway: ApiGateway) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client that has upgraded and from then on neither reads nor answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=1024)
    writer.write(
        b"GET /dev HTTP/1.1\r\nHost: local\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer
