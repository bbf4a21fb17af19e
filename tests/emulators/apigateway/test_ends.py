"""The limits on a client, and every way its connection ends."""

import asyncio
import contextlib

import pytest
from websockets.exceptions import ConnectionClosed

from infra.emulators.apigateway import ApiGateway, Options, Route
from tests.emulators.apigateway.support import (
    MAPPED,
    Backend,
    answering,
    close_code,
    connected,
    echo,
    hanging_on,
    phone,
    raw_client,
    refused,
    running_gateway,
)
from tests.support.pace import PATIENCE_SECONDS


async def test_a_ping_is_answered(backend: Backend) -> None:
    async with running_gateway(backend) as gateway, connected(gateway, backend) as (client, _):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await (await client.ping(b"are you there"))


async def test_a_binary_frame_closes_with_1003(backend: Backend) -> None:
    async with running_gateway(backend) as gateway, connected(gateway, backend) as (client, _):
        await client.send(b"binary")
        assert await close_code(client) == 1003
        assert (await backend.next()).event_type == "DISCONNECT"


async def test_what_comes_behind_a_frame_that_closes_is_ignored(backend: Backend) -> None:
    async with running_gateway(backend) as gateway, connected(gateway, backend) as (client, _):
        client.protocol.send_binary(b"binary")
        client.protocol.send_text(b"too late")
        client.transport.write(b"".join(client.protocol.data_to_send()))
        assert await close_code(client) == 1003
    assert (await backend.next()).event_type == "DISCONNECT"


async def test_invalid_utf8_closes_with_1007(backend: Backend) -> None:
    async with running_gateway(backend) as gateway, connected(gateway, backend) as (client, _):
        await client.send(b"\xff\xfe", text=True)
        assert await close_code(client) == 1007


async def test_a_frame_of_32_kilobytes_passes(backend: Backend) -> None:
    async with running_gateway(backend) as gateway, connected(gateway, backend) as (client, _):
        await client.send("x" * 32 * 1024)
        assert len(await client.recv()) == 32 * 1024


async def test_a_larger_frame_closes_with_1009(backend: Backend) -> None:
    async with running_gateway(backend) as gateway, connected(gateway, backend) as (client, _):
        await client.send("x" * (32 * 1024 + 1))
        assert await close_code(client) == 1009
        assert (await backend.next()).event_type == "DISCONNECT"


async def test_a_message_of_128_kilobytes_passes_in_frames(backend: Backend) -> None:
    async with running_gateway(backend) as gateway, connected(gateway, backend) as (client, _):
        await client.send(["x" * 32 * 1024] * 4)
        frames = [frame async for frame in client.recv_streaming()]
    # What goes to the client is split the same way.
    assert [len(frame) for frame in frames] == [32 * 1024] * 4


async def test_a_larger_message_closes_with_1009(backend: Backend) -> None:
    async with running_gateway(backend) as gateway, connected(gateway, backend) as (client, _):
        await client.send(["x" * 32 * 1024] * 4 + ["x"])
        assert await close_code(client) == 1009


async def test_an_idle_client_is_closed(backend: Backend) -> None:
    options = Options(idle_seconds=0.05)
    async with running_gateway(backend, options) as gateway, phone(gateway.websocket_url) as client:
        assert await close_code(client) == 1001
        assert (await backend.next("DISCONNECT")).body == b""


async def test_pings_do_not_keep_an_idle_client(backend: Backend) -> None:
    options = Options(idle_seconds=0.3)
    async with running_gateway(backend, options) as gateway, phone(gateway.websocket_url) as client:
        with contextlib.suppress(ConnectionClosed):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    await (await client.ping())
        assert client.close_code == 1001


async def test_messages_keep_a_client_until_its_lifetime_ends(backend: Backend) -> None:
    options = Options(idle_seconds=2.0, lifetime_seconds=2.5, lifetime_close_code=4001)
    received = 0
    async with running_gateway(backend, options) as gateway, connected(gateway, backend) as (c, _):
        with contextlib.suppress(ConnectionClosed):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    await c.send("still here")
                    received += bool(await c.recv())
    # The other code: it was not idleness that ended it.
    assert (c.close_code, received > 0) == (4001, True)


async def test_disconnect_is_posted_with_an_empty_body_after_a_close(backend: Backend) -> None:
    async with running_gateway(backend) as gateway:
        async with connected(gateway, backend) as (_, connection_id):
            pass
        seen = await backend.next()
    assert (seen.event_type, seen.body, seen.connection_id) == ("DISCONNECT", b"", connection_id)
    assert seen.headers["test-route-key"] == "$disconnect"


async def test_disconnect_is_posted_when_the_socket_breaks(backend: Backend) -> None:
    async with running_gateway(backend) as gateway, connected(gateway, backend) as (client, _):
        client.transport.abort()
        assert (await backend.next()).event_type == "DISCONNECT"


async def test_the_last_message_before_a_close_is_still_delivered(backend: Backend) -> None:
    async with running_gateway(backend) as gateway:
        async with connected(gateway, backend) as (client, _):
            await client.send("last words")
        assert (await backend.next("MESSAGE")).body == b"last words"


async def test_a_failing_disconnect_route_harms_nobody(backend: Backend) -> None:
    async with running_gateway(backend) as gateway:
        backend.answer = answering(500)
        await refused(gateway.websocket_url)
        backend.answer = echo
        async with connected(gateway, backend):
            backend.answer = answering(500)
        await backend.next("DISCONNECT")


async def test_stop_closes_clients_with_1001_and_posts_their_disconnect(backend: Backend) -> None:
    gateway = ApiGateway({key: Route(backend.url, MAPPED) for key in ("$connect", "$disconnect")})
    await gateway.start()
    clients = [await phone(gateway.websocket_url) for _ in range(3)]
    opened = {(await backend.next("CONNECT")).connection_id for _ in clients}
    await gateway.stop()
    assert [await close_code(client) for client in clients] == [1001] * 3
    assert {(await backend.next("DISCONNECT")).connection_id for _ in clients} == opened
    with pytest.raises(OSError, match="Connect call failed"):
        await phone(gateway.websocket_url)


async def test_stop_leaves_no_task_whatever_hangs(backend: Backend) -> None:
    backend.answer, release = hanging_on("MESSAGE")
    options = Options(stop_seconds=1.0)
    async with running_gateway(backend, options) as gateway:
        busy = await phone(gateway.websocket_url)
        await busy.send("never answered")
        await backend.next("MESSAGE")
        mute = await raw_client(gateway)
        # A client in the middle of its handshake, and one that has sent no request at all.
        backend.answer, release_connect = hanging_on("CONNECT")
        waiting = asyncio.create_task(phone(gateway.websocket_url).__aenter__())
        await backend.next("CONNECT")
        silent = await asyncio.open_connection("127.0.0.1", gateway.port)
        backend.answer, release_disconnect = hanging_on("DISCONNECT")
        async with asyncio.timeout(PATIENCE_SECONDS):
            await gateway.stop()
        ours = [
            task for task in asyncio.all_tasks() if "/infra/emulators/" in repr(task.get_coro())
        ]
        for event in (release, release_connect, release_disconnect):
            event.set()
    assert ours == []
    assert {(await backend.next("DISCONNECT")).event_type for _ in range(2)} == {"DISCONNECT"}
    with pytest.raises(Exception, match="did not receive a valid HTTP"):
        await waiting
    for writer in (mute[1], silent[1]):
        writer.close()
