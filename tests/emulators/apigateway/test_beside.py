"""What else has the gateway's port: plain requests that are none of the API's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from infra.emulators.apigateway import ApiGateway, Route
from infra.emulators.apigateway.http1 import Request, Response
from tests.emulators.apigateway.support import ALL_ROUTES, MAPPED, Backend, connected
from tests.support.pace import PATIENCE_SECONDS


class Neighbour:
    """Notes what it is asked; `held` requests are answered when it is released, or never."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[tuple[Request, str]] = asyncio.Queue()
        self.released = asyncio.Event()
        self.released.set()
        self.cancelled = asyncio.Event()

    async def __call__(self, request: Request, source_ip: str) -> Response:
        await self.asked.put((request, source_ip))
        try:
            await self.released.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return Response(201, (("x-own", "mine"),), request.body[::-1])

    async def next(self) -> Request:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return (await self.asked.get())[0]


@pytest.fixture
def neighbour() -> Neighbour:
    return Neighbour()


@pytest.fixture
async def gateway(backend: Backend, neighbour: Neighbour) -> AsyncIterator[ApiGateway]:
    table = {key: Route(backend.url, MAPPED, route_response=True) for key in ALL_ROUTES}
    async with ApiGateway(table, beside=neighbour) as gateway:
        yield gateway


@pytest.fixture
async def http(gateway: ApiGateway) -> AsyncIterator[httpx.AsyncClient]:
    url = f"http://127.0.0.1:{gateway.port}"
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE_SECONDS) as client:
        yield client


@asynccontextmanager
async def holding(
    gateway: ApiGateway, neighbour: Neighbour, more: bytes = b""
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A client whose request is with the neighbour, and who has sent `more` behind it."""
    neighbour.released.clear()
    streams = await asyncio.open_connection("127.0.0.1", gateway.port)
    streams[1].write(b"GET /held HTTP/1.1\r\nHost: local\r\n\r\n" + more)
    try:
        await neighbour.next()
        yield streams
    finally:
        streams[1].close()


async def test_a_plain_request_goes_to_who_is_beside(
    http: httpx.AsyncClient, neighbour: Neighbour
) -> None:
    for method, target in (("GET", "/socket.io/?EIO=4&transport=polling"), ("PUT", "/dev/x%2Fy")):
        answer = await http.request(method, target, content=b"abc", headers={"x-their": "own"})
        assert (answer.status_code, answer.headers["x-own"]) == (201, "mine")
        assert answer.content == b"cba"
        request, source_ip = neighbour.asked.get_nowait()
        assert (request.method, request.target) == (method, target)
        assert (request.body, request.header("x-their"), source_ip) == (b"abc", "own", "127.0.0.1")


async def test_connections_and_sockets_stay_the_apis(
    gateway: ApiGateway, backend: Backend, http: httpx.AsyncClient, neighbour: Neighbour
) -> None:
    async with connected(gateway, backend) as (client, connection_id):
        answer = await http.post(f"/dev/@connections/{quote(connection_id)}", content=b"told")
        assert (answer.status_code, await client.recv()) == (200, "told")
        unknown = quote(connection_id[::-1].replace("=", "A")[:-1] + "=")
        assert (await http.post(f"/dev/@connections/{unknown}")).status_code == 410
        assert (await http.put(f"/dev/@connections/{unknown}")).status_code == 403
        await client.send("hello")
        assert await client.recv() == "hello"
    assert neighbour.asked.empty()


async def test_a_request_that_is_held_keeps_no_other_waiting(
    gateway: ApiGateway, backend: Backend, http: httpx.AsyncClient, neighbour: Neighbour
) -> None:
    async with holding(gateway, neighbour) as (reader, _):
        async with connected(gateway, backend) as (client, _):
            await client.send("meanwhile")
            assert await client.recv() == "meanwhile"
        second = asyncio.create_task(http.get("/second"))
        await neighbour.next()
        neighbour.released.set()
        assert (await second).status_code == 201
        assert (await reader.readline()).startswith(b"HTTP/1.1 201 ")


@pytest.mark.parametrize("how", ["closes", "resets"])
async def test_a_client_that_hangs_up_cancels_its_request(
    gateway: ApiGateway, neighbour: Neighbour, how: str
) -> None:
    async with holding(gateway, neighbour) as (_, writer), asyncio.timeout(PATIENCE_SECONDS):
        if how == "resets":
            writer.transport.abort()
        else:
            writer.close()
        await neighbour.cancelled.wait()


async def test_what_a_client_sends_ahead_is_its_next_request(
    gateway: ApiGateway, neighbour: Neighbour
) -> None:
    ahead = b"POST /next HTTP/1.1\r\nHost: local\r\nContent-Length: 2\r\n\r\n"
    async with holding(gateway, neighbour, ahead) as (reader, writer):
        writer.write(b"ab")
        neighbour.released.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 201 ")
            assert b"content-length: 2" in await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(2) == b"ba"
        request = await neighbour.next()
        assert (request.method, request.target, request.body) == ("POST", "/next", b"ab")


async def test_another_protocol_that_is_offered_is_none_of_ours(
    http: httpx.AsyncClient, neighbour: Neighbour
) -> None:
    offered: Any = {"connection": "upgrade, http2-settings", "upgrade": "h2c"}
    for _ in range(2):
        answer = await http.post("/", content=b"abc", headers=offered)
        assert (answer.status_code, answer.content) == (201, b"cba")


async def test_stop_cancels_what_is_held(gateway: ApiGateway, neighbour: Neighbour) -> None:
    async with holding(gateway, neighbour) as (reader, _):
        await gateway.stop()
        assert neighbour.cancelled.is_set()
        assert await reader.read() == b""
