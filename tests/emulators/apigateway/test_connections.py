"""@connections, seen by an unmodified boto3 client and by plain HTTP."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from botocore.exceptions import ClientError
from starlette.responses import Response

from infra.emulators.apigateway import ApiGateway, Options, Throttle
from infra.emulators.apigateway.ids import new_id
from tests.emulators.apigateway.support import (
    Backend,
    Seen,
    connected,
    management_client,
    phone,
    post,
    running_gateway,
)


@pytest.fixture
async def gateway(backend: Backend) -> AsyncIterator[ApiGateway]:
    async with running_gateway(backend) as gateway:
        yield gateway


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


async def refusal(call: Any, **arguments: Any) -> tuple[str, int]:
    """The name of the exception boto3 raises and the HTTP status."""
    with pytest.raises(ClientError) as refused:
        await asyncio.to_thread(call, **arguments)
    response = refused.value.response
    name = type(refused.value).__name__
    code = response["Error"]["Code"]
    return code if name == "ClientError" else name, response["ResponseMetadata"]["HTTPStatusCode"]


async def test_a_post_becomes_a_text_frame(gateway: ApiGateway, backend: Backend) -> None:
    async with connected(gateway, backend) as (client, connection_id):
        answer = await post(management_client(gateway), connection_id, "grüße {}".encode())
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
        assert await client.recv() == "grüße {}"


async def test_posts_arrive_in_order(gateway: ApiGateway, backend: Backend) -> None:
    boto = management_client(gateway)
    async with connected(gateway, backend) as (client, connection_id):
        for number in range(5):
            await post(boto, connection_id, b"%d" % number)
        assert [await client.recv() for _ in range(5)] == list("01234")


async def test_get_describes_the_connection(gateway: ApiGateway, backend: Backend) -> None:
    boto = management_client(gateway)
    before = datetime.now(UTC) - timedelta(seconds=1)
    async with phone(gateway.websocket_url, user_agent_header="Phone/1") as client:
        connection_id = (await backend.next()).connection_id
        fresh = await asyncio.to_thread(boto.get_connection, ConnectionId=connection_id)
        await (await client.ping())
        pinged = await asyncio.to_thread(boto.get_connection, ConnectionId=connection_id)
        await client.send("active")
        await client.recv()
        used = await asyncio.to_thread(boto.get_connection, ConnectionId=connection_id)
    assert fresh["Identity"] == {"SourceIp": "127.0.0.1", "UserAgent": "Phone/1"}
    assert before < fresh["ConnectedAt"] < datetime.now(UTC)
    assert fresh["LastActiveAt"] == pinged["LastActiveAt"] == fresh["ConnectedAt"]
    assert used["LastActiveAt"] > fresh["LastActiveAt"]
    assert used["ConnectedAt"] == fresh["ConnectedAt"]


async def test_pings_count_as_activity_when_switched(backend: Backend) -> None:
    async with (
        running_gateway(backend, Options(pings_keep_alive=True)) as gateway,
        connected(gateway, backend) as (client, connection_id),
    ):
        await (await client.ping())
        described = await asyncio.to_thread(
            management_client(gateway).get_connection, ConnectionId=connection_id
        )
    assert described["LastActiveAt"] > described["ConnectedAt"]


async def test_delete_closes_the_client(gateway: ApiGateway, backend: Backend) -> None:
    boto = management_client(gateway)
    async with connected(gateway, backend) as (client, connection_id):
        await post(boto, connection_id, b"goodbye")
        answer = await asyncio.to_thread(boto.delete_connection, ConnectionId=connection_id)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
        assert await client.recv() == "goodbye"
        await client.wait_closed()
        assert client.close_code == 1000
    assert (await backend.next()).event_type == "DISCONNECT"


async def test_a_closed_connection_is_gone(gateway: ApiGateway, backend: Backend) -> None:
    boto = management_client(gateway)
    async with connected(gateway, backend) as (_, connection_id):
        pass
    await backend.next("DISCONNECT")
    for call, more in (
        (boto.post_to_connection, {"Data": b"x"}),
        (boto.get_connection, {}),
        (boto.delete_connection, {}),
    ):
        assert await refusal(call, ConnectionId=connection_id, **more) == ("GoneException", 410)


async def test_a_connection_that_never_was_is_gone(gateway: ApiGateway) -> None:
    boto = management_client(gateway)
    assert await refusal(boto.get_connection, ConnectionId=new_id()) == ("GoneException", 410)


async def test_the_body_of_a_410_is_no_json(gateway: ApiGateway, http: httpx.AsyncClient) -> None:
    answer = await http.post(f"{gateway.connections_url}/{quote(new_id())}", content=b"x")
    assert answer.status_code == 410
    with pytest.raises(json.JSONDecodeError):
        answer.json()


async def test_a_connection_is_gone_until_its_connect_has_returned(
    gateway: ApiGateway, backend: Backend
) -> None:
    boto = management_client(gateway)
    during_connect: list[tuple[str, int]] = []

    async def post_during_connect(seen: Seen) -> Response:
        target = {"ConnectionId": seen.connection_id, "Data": b"too early"}
        if seen.event_type == "CONNECT":
            during_connect.append(await refusal(boto.post_to_connection, **target))
        return Response()

    backend.answer = post_during_connect
    async with connected(gateway, backend) as (client, connection_id):
        await post(boto, connection_id, b"now")
        assert await client.recv() == "now"
    assert during_connect == [("GoneException", 410)]


@pytest.mark.parametrize("connection_id", ["abc", "not an id", "a/b", "é", "VNRUSeldSwMCIRQ%3D"])
async def test_a_malformed_id_is_a_bad_request(gateway: ApiGateway, connection_id: str) -> None:
    boto = management_client(gateway)
    refused = await refusal(boto.get_connection, ConnectionId=connection_id)
    assert refused == ("BadRequestException", 400)


async def test_both_forms_of_the_path_are_the_same(
    gateway: ApiGateway, backend: Backend, http: httpx.AsyncClient
) -> None:
    origin = gateway.websocket_url.replace("ws:", "http:")
    async with connected(gateway, backend) as (_, connection_id):
        for name in ("@connections", "%40connections"):
            for written in (connection_id, connection_id.replace("=", "%3D")):
                answer = await http.get(f"{origin}/{name}/{written}")
                assert answer.status_code == 200, (name, written)
                assert answer.headers["content-type"] == "application/json"


async def test_a_wrong_stage_or_path_is_forbidden(
    gateway: ApiGateway, backend: Backend, http: httpx.AsyncClient
) -> None:
    origin = gateway.websocket_url.replace("ws:", "http:").removesuffix("/dev")
    boto = management_client(gateway, url=f"{origin}/prod")
    async with connected(gateway, backend) as (_, connection_id):
        wrong_stage = await refusal(boto.get_connection, ConnectionId=connection_id)
        assert wrong_stage == ("ForbiddenException", 403)
        quoted = quote(connection_id)
        for path in ("/", "/dev", "/dev/@connections", f"/dev/connections/{quoted}", "/dev//x"):
            answer = await http.post(origin + path)
            assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"}), path
        answer = await http.put(f"{origin}/dev/@connections/{quoted}")
        assert answer.status_code == 403


async def test_a_mapping_key_has_its_own_connections_path(
    backend: Backend, http: httpx.AsyncClient
) -> None:
    options = Options(base_paths=("/dev", "/socket.io"))
    async with (
        running_gateway(backend, options) as gateway,
        connected(gateway, backend) as (_, connection_id),
    ):
        origin = gateway.websocket_url.replace("ws:", "http:").removesuffix("/dev")
        answer = await http.get(f"{origin}/socket.io/@connections/{quote(connection_id)}")
    assert answer.status_code == 200


async def test_up_to_128_kilobytes_can_be_posted(gateway: ApiGateway, backend: Backend) -> None:
    boto = management_client(gateway)
    async with connected(gateway, backend) as (client, connection_id):
        await post(boto, connection_id, b"x" * 128 * 1024)
        frames = [frame async for frame in client.recv_streaming()]
        assert [len(frame) for frame in frames] == [32 * 1024] * 4
        too_much = {"ConnectionId": connection_id, "Data": b"x" * (128 * 1024 + 1)}
        refused = await refusal(boto.post_to_connection, **too_much)
    assert refused == ("PayloadTooLargeException", 413)


async def test_only_text_can_be_posted(gateway: ApiGateway, backend: Backend) -> None:
    boto = management_client(gateway)
    async with connected(gateway, backend) as (_, connection_id):
        binary = {"ConnectionId": connection_id, "Data": b"\xff\xfe"}
        assert await refusal(boto.post_to_connection, **binary) == ("BadRequestException", 400)


@pytest.mark.parametrize(
    "options",
    [
        Options(connection_throttle=Throttle(rate=0, burst=1)),
        # The client's own connect takes the first of these two.
        Options(stage_throttle=Throttle(rate=0, burst=2)),
    ],
)
async def test_too_many_calls_are_throttled(backend: Backend, options: Options) -> None:
    async with (
        running_gateway(backend, options) as gateway,
        connected(gateway, backend) as (_, connection_id),
    ):
        boto = management_client(gateway)
        await post(boto, connection_id, b"passes")
        refused = await refusal(boto.get_connection, ConnectionId=connection_id)
    assert refused == ("LimitExceededException", 429)


async def test_one_connection_is_throttled_apart_from_another(backend: Backend) -> None:
    options = Options(connection_throttle=Throttle(rate=0, burst=1))
    async with (
        running_gateway(backend, options) as gateway,
        connected(gateway, backend) as (_, first),
        connected(gateway, backend) as (_, second),
    ):
        boto = management_client(gateway)
        await post(boto, first, b"passes")
        await post(boto, second, b"passes, too")


async def test_a_client_that_does_not_read_makes_posts_fail_with_429(
    backend: Backend, http: httpx.AsyncClient
) -> None:
    options = Options(client_buffer_bytes=128 * 1024)
    async with running_gateway(backend, options) as gateway:
        with await deaf_client(gateway):
            url = f"{gateway.connections_url}/{quote((await backend.next()).connection_id)}"
            statuses = [200]
            while statuses[-1] == 200 and len(statuses) < 500:
                answer = await http.post(url, content=b"x" * 100_000)
                statuses.append(answer.status_code)
            described = await http.get(url)
    assert statuses[-1] == 429
    assert answer.headers["x-amzn-errortype"] == "LimitExceededException"
    assert described.status_code == 200


async def deaf_client(gateway: ApiGateway) -> socket.socket:
    """A connected client with small buffers that never reads a byte."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", gateway.port))
    await loop.sock_sendall(
        client,
        b"GET /dev HTTP/1.1\r\nHost: local\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    )
    # The backend has seen $connect by then, but its reply may still be on the way.
    await loop.sock_recv(client, 12)
    return client


async def test_a_client_that_ignores_its_close_is_gone_at_once_and_then_cut_off(
    backend: Backend, http: httpx.AsyncClient
) -> None:
    async with running_gateway(backend, Options(close_seconds=0.2)) as gateway:
        with await deaf_client(gateway):
            url = f"{gateway.connections_url}/{quote((await backend.next()).connection_id)}"
            assert (await http.delete(url)).status_code == 204
            assert (await http.get(url)).status_code == 410
            assert (await backend.next()).event_type == "DISCONNECT"


async def test_many_requests_share_one_tcp_connection(
    gateway: ApiGateway, backend: Backend
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    async with connected(gateway, backend) as (_, connection_id):
        for _ in range(3):
            target = f"/dev/@connections/{quote(connection_id)}"
            writer.write(f"GET {target} HTTP/1.1\r\nHost: local\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK")
            await reader.readuntil(b"}}")
    writer.close()


@pytest.mark.parametrize(
    "request_bytes",
    [b"nonsense\r\n\r\n", b"GET /dev HTTP/1.1\r\n\r\n", b"GET /" + b"x" * 70_000 + b"\r\n\r\n"],
)
async def test_what_is_no_http_is_answered_4xx_and_dropped(
    gateway: ApiGateway, request_bytes: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(request_bytes)
    assert (await reader.readline()).startswith(b"HTTP/1.1 4")
    writer.close()
