"""Unmodified Socket.IO clients of four kinds lose their connection, and are usable again."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from google.cloud.firestore import AsyncClient

from infra.client.phone import phone
from infra.local.stack import Options, Stack, running
from infra.local.topology import API
from tests.e2e.socketio_support import (
    DELAY_SECONDS,
    close_by_gateway,
    connections_of,
    is_usable,
    post,
)
from tests.support.collections import CONNECTIONS
from tests.support.pace import BACKOFF
from tests.support.socketio import SocketIoApp, signed_in
from tests.support.stacks import Ids

pytestmark = pytest.mark.thorough

IDLE_SECONDS = 2.5
TIMERS = {
    "EIO3_PING_INTERVAL_SECONDS": "1",
    "EIO3_PING_TIMEOUT_SECONDS": "10",  # its pongs may be late on a busy machine
    "EIO4_PING_INTERVAL_SECONDS": "1",
    "EIO4_PING_TIMEOUT_SECONDS": "1",
}


async def test_a_client_comes_back_when_the_gateway_has_closed_it(
    kind: str, stack: Stack, ids: Ids
) -> None:
    async with signed_in(kind, stack, ids.caller, delay_seconds=DELAY_SECONDS) as client:
        await client.connected()
        for _ in range(2):
            await close_by_gateway(stack, ids.caller)
            await client.disconnected()
            await client.connected()
            await is_usable(stack, client, ids.caller)
        assert client.count("connected") == 3
        assert client.untold() == 0


async def test_a_client_whose_connection_is_not_known_is_made_to_come_back(
    kind: str, stack: Stack, ids: Ids, documents: AsyncClient
) -> None:
    async with signed_in(kind, stack, ids.caller, delay_seconds=DELAY_SECONDS) as client:
        await client.connected()
        (unknown,) = await connections_of(stack, ids.caller)
        await documents.collection(CONNECTIONS).document(unknown).delete()
        await client.emit_without_ack("call:cancel", callId=ids.call)
        await client.disconnected()
        await client.connected()
        await is_usable(stack, client, ids.caller)


async def test_a_second_open_packet_upsets_no_client(kind: str, stack: Stack, ids: Ids) -> None:
    timers = {"pingInterval": 60_000, "pingTimeout": 4_000}
    again = "0" + json.dumps({"sid": "again", "upgrades": [], **timers})
    async with signed_in(kind, stack, ids.caller) as client:
        await client.connected()
        # What a delivery posts that runs twice.
        await post(stack, ids.caller, again, *(["40"] if kind == "js-2" else []))
        await is_usable(stack, client, ids.caller)
        assert client.count("disconnected") == 0
        # Version 2 takes the second `40` for what it is, and says so to the app.
        assert client.count("connected") == (2 if kind == "js-2" else 1)


async def test_every_client_comes_back_when_the_backend_has_restarted(
    kinds: Sequence[str], tmp_path: Path
) -> None:
    options = Options(port=0, backoff=BACKOFF, logs=tmp_path)

    async def comes_back(client: SocketIoApp, stack: Stack) -> None:
        await client.connected()
        await is_usable(stack, client, _user(client.kind))

    async with AsyncExitStack() as phones:
        async with running(options) as stack:
            clients = await _all(phones, kinds, stack)
            for client in clients:
                await client.connected()
        for client in clients:
            await client.disconnected()
        port = urlsplit(stack.websocket).port or 0
        async with running(replace(options, port=port)) as stack, asyncio.TaskGroup() as tasks:
            for client in clients:
                tasks.create_task(comes_back(client, stack))


async def test_every_client_stays_usable_past_three_idle_limits(
    kinds: Sequence[str], tmp_path: Path
) -> None:
    options = Options(
        port=0,
        backoff=BACKOFF,
        gateway=replace(API, idle_seconds=IDLE_SECONDS),
        settings=TIMERS,
        logs=tmp_path,
    )

    async def renews_itself(client: SocketIoApp, stack: Stack) -> None:
        # EIO4: after two silent seconds each, so that four times are more than three idle limits.
        await client.connected()
        for _ in range(4):
            reason = await client.disconnected()
            assert reason == ("transport error" if client.kind == "python" else "ping timeout")
            await client.connected()
        await is_usable(stack, client, _user(client.kind))

    async with (
        running(options) as stack,
        phone(stack.websocket, "USR_SILENT", stack.project) as silent,
        AsyncExitStack() as phones,
    ):
        clients = await _all(phones, kinds, stack)
        async with asyncio.TaskGroup() as tasks:
            for client in clients:
                if client.kind != "js-2":
                    tasks.create_task(renews_itself(client, stack))
        await silent.socket.wait_closed()
        for client in clients:
            if client.kind == "js-2":  # EIO3: its pings keep the connection
                await is_usable(stack, client, _user(client.kind))
                assert client.count("disconnected") == 0


async def _all(phones: AsyncExitStack, kinds: Sequence[str], stack: Stack) -> Sequence[SocketIoApp]:
    """A client of each kind, each with a user of its own."""
    return [
        await phones.enter_async_context(
            signed_in(kind, stack, _user(kind), delay_seconds=DELAY_SECONDS)
        )
        for kind in kinds
    ]


def _user(kind: str) -> str:
    return f"USR_{kind}"
