"""Unmodified Socket.IO clients with their default options lose their connection, and are usable
again: they poll anew, and go on by WebSocket if they can."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from google.cloud.firestore import AsyncClient

from infra.local.stack import Options, Stack, running
from tests.e2e.socketio_support import (
    DELAY_SECONDS,
    close_by_gateway,
    connections_of,
    is_usable,
)
from tests.support.browser import ORIGIN
from tests.support.collections import CONNECTIONS
from tests.support.httprelay import http_relay
from tests.support.pace import BACKOFF, PATIENCE_SECONDS
from tests.support.socketio import ByDefault, SocketIoApp
from tests.support.stacks import Ids

pytestmark = pytest.mark.thorough

BOTH_WAYS = pytest.mark.parametrize(
    "websockets", [True, False], ids=["all gets through", "no WebSocket gets through"]
)


async def test_a_client_comes_back_when_the_gateway_has_closed_it(
    apps: ByDefault, stack: Stack, ids: Ids
) -> None:
    async with apps.signed_in(stack, ids.caller, delay_seconds=DELAY_SECONDS) as client:
        for _ in range(3):
            await client.connected()
            await client.upgraded()
            await is_usable(stack, client, ids.caller)
            await _polls_no_more(stack, ids.caller)
            await close_by_gateway(stack, ids.caller)
            await client.disconnected()
        await client.connected()
        assert client.untold() == 0


@BOTH_WAYS
async def test_a_client_whose_session_is_not_known_is_made_to_come_back(
    apps: ByDefault, stack: Stack, ids: Ids, documents: AsyncClient, websockets: bool
) -> None:
    async with (
        http_relay(stack.socketio, websockets=websockets) as way,
        apps.signed_in(stack, ids.caller, way=way.url, delay_seconds=DELAY_SECONDS) as client,
    ):
        await _settled(client, websockets)
        if websockets:
            await _polls_no_more(stack, ids.caller)
        (unknown,) = await connections_of(stack, ids.caller)
        await documents.collection(CONNECTIONS).document(unknown).delete()
        await client.emit_without_ack("call:cancel", callId=ids.call)
        await client.disconnected()
        await _settled(client, websockets)
        await is_usable(stack, client, ids.caller)


@BOTH_WAYS
async def test_every_client_comes_back_when_the_backend_has_restarted(
    apps_of_all_kinds: Sequence[ByDefault], tmp_path: Path, websockets: bool
) -> None:
    options = Options(port=0, backoff=BACKOFF, settings={"CORS_ORIGINS": ORIGIN}, logs=tmp_path)

    async def comes_back(client: SocketIoApp, stack: Stack) -> None:
        await _settled(client, websockets)
        await is_usable(stack, client, _user(client.kind))

    async with AsyncExitStack() as phones:
        async with running(options) as stack:
            way = await phones.enter_async_context(
                http_relay(stack.socketio, websockets=websockets)
            )
            clients = [
                await phones.enter_async_context(
                    apps.signed_in(
                        stack, _user(apps.kind), way=way.url, delay_seconds=DELAY_SECONDS
                    )
                )
                for apps in apps_of_all_kinds
            ]
            for client in clients:
                await _settled(client, websockets)
        for client in clients:
            await client.disconnected()
        port = urlsplit(stack.websocket).port or 0
        async with running(replace(options, port=port)) as stack, asyncio.TaskGroup() as tasks:
            for client in clients:
                tasks.create_task(comes_back(client, stack))


async def _settled(client: SocketIoApp, websockets: bool) -> None:
    """Waits until the client is connected, and by which transport has been settled."""
    await client.connected()
    await (client.upgraded() if websockets else client.not_upgraded())


async def _polls_no_more(stack: Stack, user: str) -> None:
    """Waits until the session has gone over to the WebSocket; the client does not wait for it."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        # Firestore tells nobody.
        while any(each.startswith("poll-") for each in await connections_of(stack, user)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def _user(kind: str) -> str:
    return f"USR_{kind}"
