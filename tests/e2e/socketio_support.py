"""What the tests with Socket.IO clients do again and again."""

import asyncio
import uuid
from urllib.parse import quote

import httpx
from google.cloud.firestore import AsyncClient, FieldFilter

from infra.client.calls import Calls, client_at
from infra.client.phone import Phone, phone
from infra.local.stack import Stack
from tests.support.collections import CONNECTIONS
from tests.support.pace import PATIENCE_SECONDS
from tests.support.socketio import SocketIoApp

# Long enough for a round trip, and short enough that a client which tries again is soon seen.
DELAY_SECONDS = 0.05


async def is_usable(stack: Stack, app: SocketIoApp, user: str) -> None:
    """Sees `user` stop a JSON phone by `app`, and be stopped by it."""
    calls = Calls(stack.firestore, stack.project)
    peer, out, back = (f"{what}_{uuid.uuid4().hex[:8]}" for what in ("USR", "CALL", "CALL"))
    await calls.ring(out, user, peer)
    await calls.ring(back, peer, user)
    async with phone(stack.websocket, peer, stack.project) as other:
        assert await app.emit("call:cancel", callId=out) == {
            "ok": True,
            "outcome": "cancelled",
            "callId": out,
        }
        assert (await other.told("call:cancelled"))["callId"] == out
        assert (await other.emit("call:cancel", callId=back))["ok"]
        assert (await app.told("call:cancelled"))["callId"] == back
    # What has gone on since is not told again when the client comes back on another connection.
    await calls.ring(back, peer, user)


async def has_no_more(app: Phone | SocketIoApp) -> bool:
    """Whether no event came that nobody waited for."""
    # The answer comes over the same socket, and after what was posted before.
    await app.emit("device:unregister", token="nothing to wait for")
    return app.untold() == 0


async def is_delivered(calls: Calls, call: str) -> None:
    """Waits until nobody is at work on the event of `call` any more."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        await calls.until_delivered(call)


async def connections_of(stack: Stack, user: str) -> list[str]:
    """The connections by which `user` is told."""
    documents: AsyncClient = client_at(stack.firestore, stack.project)
    query = documents.collection(CONNECTIONS).where(filter=FieldFilter("userId", "==", user))
    return [snapshot.id async for snapshot in query.stream()]


async def is_forgotten(stack: Stack, user: str) -> None:
    """Waits until no connection of `user` is told anything more."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await connections_of(stack, user):  # noqa: ASYNC110 - Firestore tells nobody
            await asyncio.sleep(0.02)


async def close_by_gateway(stack: Stack, user: str) -> None:
    """Has API Gateway close all connections of `user`."""
    async with httpx.AsyncClient() as http:
        answers = await asyncio.gather(
            *(
                http.delete(f"{stack.connections}/{quote(id, safe='')}")
                for id in await connections_of(stack, user)
            )
        )
    # A connection that was closed before may not be forgotten yet.
    assert 204 in [answer.status_code for answer in answers]


async def post(stack: Stack, user: str, *packets: str) -> None:
    """Posts to the one connection of `user`, one packet after the other."""
    (id,) = await connections_of(stack, user)
    async with httpx.AsyncClient() as http:
        for packet in packets:
            answer = await http.post(f"{stack.connections}/{quote(id, safe='')}", content=packet)
            answer.raise_for_status()
