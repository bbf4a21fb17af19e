"""Nothing is lost: what a crash left is swept up, what fails is retried, what is dead pruned."""

import asyncio
import base64
import json
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from google.cloud.firestore import AsyncClient

from functions.calls.call import ConnectionId
from functions.clients.device import device_id
from functions.ports.store import Store, StoredCall
from functions.services.firestore import store_of
from functions.services.firestore.database import Database
from infra.client.calls import Calls
from infra.client.phone import phone
from infra.emulators.fcm.errors import FcmError
from infra.local.stack import Stack
from tests.e2e.socketio_support import has_no_more, is_delivered
from tests.support.makers import connect, event, fields_of, now, pend
from tests.support.pace import PATIENCE_SECONDS
from tests.support.stacks import Ids, pushes_to

Crashed = Callable[[timedelta], Awaitable[None]]


@pytest.fixture
def store(stack: Stack) -> Store:
    return store_of(Database(stack.project, emulator=stack.firestore))


@pytest.fixture
def crashed(store: Store, documents: AsyncClient, calls: Calls, ids: Ids) -> Crashed:
    """Leaves a call as a `gateway` does that died, so long ago, between its commit and publish."""

    async def crash(ago: timedelta) -> None:
        call, caller, receiver = ids.call, ids.caller, ids.receiver
        await calls.ring(call, caller, receiver)
        loaded = await store.calls.load(call, ConnectionId("none="), now())
        assert isinstance(loaded.call, StoredCall)
        theirs = event(call=call, decided=now() - ago, caller=caller, receiver=receiver)
        await store.calls.commit(loaded.call, theirs)
        await pend(documents, theirs, theirs.decided_at)

    return crash


async def is_forgotten(documents: AsyncClient, collection: str, id: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await fields_of(documents, collection, id) is not None:  # noqa: ASYNC110 - Firestore tells nobody
            await asyncio.sleep(0.02)


async def is_closed(documents: AsyncClient, connection: str) -> None:
    """Waits until nobody is told by the connection any more; then it soon expires."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while "closedAt" not in (await fields_of(documents, "connections", connection) or {}):  # noqa: ASYNC110 - Firestore tells nobody
            await asyncio.sleep(0.02)
    fields: dict[str, Any] = await fields_of(documents, "connections", connection) or {}
    assert "userId" not in fields
    assert fields["expiresAt"] - fields["closedAt"] <= timedelta(minutes=1)


async def sweep(stack: Stack) -> dict[str, int]:
    async with httpx.AsyncClient(timeout=60) as http:
        answer = await http.post(stack.functions["sweep"])
    assert answer.status_code == 200
    summary: dict[str, int] = answer.json()
    return summary


async def test_what_a_crash_left_is_delivered_by_the_sweep(
    stack: Stack, crashed: Crashed, calls: Calls, ids: Ids
) -> None:
    async with phone(stack.websocket, ids.receiver, stack.project) as receiver:
        await receiver.emit("device:register", token=ids.token, platform="android")
        await crashed(timedelta(seconds=15))
        assert (await sweep(stack))["republished"] >= 1
        assert (await receiver.told("call:cancelled"))["callId"] == ids.call
        await is_delivered(calls, ids.call)
        await pushes_to(stack, ids.token)
        assert receiver.untold() == 0


@pytest.mark.parametrize("failures", [0, 2])
async def test_what_a_crash_left_is_pushed_even_if_fcm_takes_longer_than_the_sockets(
    stack: Stack,
    crashed: Crashed,
    calls: Calls,
    ids: Ids,
    failures: int,
) -> None:
    async with phone(stack.websocket, ids.receiver, stack.project) as receiver:
        await receiver.emit("device:register", token=ids.token, platform="android")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await calls.is_connected(ids.receiver):  # noqa: ASYNC110 - Firestore tells nobody
            await asyncio.sleep(0.02)
    stack.fcm.fail(ids.token, FcmError.QUOTA_EXCEEDED, times=failures)
    await crashed(timedelta(seconds=15))
    await sweep(stack)
    await is_delivered(calls, ids.call)
    await pushes_to(stack, ids.token)


async def test_what_a_crash_left_is_delivered_when_the_caller_repeats(
    stack: Stack, crashed: Crashed, calls: Calls, ids: Ids
) -> None:
    async with (
        phone(stack.websocket, ids.caller, stack.project) as caller,
        phone(stack.websocket, ids.receiver, stack.project) as receiver,
    ):
        await crashed(timedelta(0))
        verdict = await caller.emit("call:cancel", callId=ids.call)
        assert (verdict["ok"], verdict["outcome"]) == (True, "already_cancelled")
        assert (await receiver.told("call:cancelled"))["callId"] == ids.call
        await is_delivered(calls, ids.call)
        assert receiver.untold() == 0


async def test_what_has_expired_is_swept_away_untold(
    stack: Stack, crashed: Crashed, calls: Calls, ids: Ids
) -> None:
    async with phone(stack.websocket, ids.receiver, stack.project) as receiver:
        await crashed(timedelta(seconds=61))
        assert (await sweep(stack))["republished"] >= 1
        await is_delivered(calls, ids.call)
        assert await has_no_more(receiver)


async def test_a_dead_connection_is_pruned_and_the_living_are_told(
    stack: Stack, store: Store, calls: Calls, documents: AsyncClient, ids: Ids
) -> None:
    dead = base64.urlsafe_b64encode(uuid.uuid4().bytes[:11]).decode()
    async with (
        phone(stack.websocket, ids.caller, stack.project) as caller,
        phone(stack.websocket, ids.receiver, stack.project) as receiver,
    ):
        await connect(store, dead, ids.receiver)
        await calls.ring(ids.call, ids.caller, ids.receiver)
        await caller.emit("call:cancel", callId=ids.call)
        assert (await receiver.told("call:cancelled"))["callId"] == ids.call
        await is_closed(documents, dead)
        await is_delivered(calls, ids.call)
        assert await calls.is_connected(ids.receiver)


@pytest.mark.thorough
async def test_a_connection_is_pruned_once_it_can_no_longer_be_opening(
    stack: Stack, store: Store, calls: Calls, documents: AsyncClient, ids: Ids
) -> None:
    dead = base64.urlsafe_b64encode(uuid.uuid4().bytes[:11]).decode()
    async with phone(stack.websocket, ids.caller, stack.project) as caller:
        # In four seconds from now, its handshake must have ended.
        await connect(store, dead, ids.receiver, connected=now() - timedelta(seconds=26))
        await calls.ring(ids.call, ids.caller, ids.receiver)
        await caller.emit("call:cancel", callId=ids.call)
        assert not await calls.is_delivered(ids.call)
        await is_delivered(calls, ids.call)
        await is_closed(documents, dead)


async def test_a_push_that_fcm_can_not_take_now_is_retried(
    stack: Stack, calls: Calls, ids: Ids
) -> None:
    stack.fcm.fail(ids.token, FcmError.QUOTA_EXCEEDED, times=2)
    async with (
        phone(stack.websocket, ids.caller, stack.project) as caller,
        phone(stack.websocket, ids.receiver, stack.project) as receiver,
    ):
        await receiver.emit("device:register", token=ids.token, platform="android")
        await calls.ring(ids.call, ids.caller, ids.receiver)
        await caller.emit("call:cancel", callId=ids.call)
        await pushes_to(stack, ids.token)
    assert stack.fcm.attempts(ids.token) == 3


async def test_a_token_that_fcm_calls_dead_is_forgotten(
    stack: Stack, calls: Calls, documents: AsyncClient, ids: Ids
) -> None:
    stack.fcm.fail(ids.token, FcmError.UNREGISTERED)
    async with (
        phone(stack.websocket, ids.caller, stack.project) as caller,
        phone(stack.websocket, ids.receiver, stack.project) as receiver,
    ):
        await receiver.emit("device:register", token=ids.token, platform="android")
        await calls.ring(ids.call, ids.caller, ids.receiver)
        await caller.emit("call:cancel", callId=ids.call)
        await is_forgotten(documents, "devices", device_id(ids.token))


@pytest.mark.parametrize("function", ["deliver", "push"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"message": null}',
        b'{"message": {"messageId": 7}}',
        b'{"message": {"messageId": "1", "data": "not base64!"}}',
        b'{"message": {"messageId": "1"}}',
        '{"message": {"messageId": "1", "data": "é"}}'.encode(),
        json.dumps({"message": {"messageId": "1", "data": "e30="}}).encode(),
        b"\x00" * 1000,
        b"\xff\xfe",
    ],
    ids=lambda body: str(body[:20]),
)
async def test_a_delivery_that_nobody_can_read_is_acknowledged(
    stack: Stack, function: str, body: bytes
) -> None:
    async with httpx.AsyncClient() as http:
        answer = await http.post(stack.functions[function], content=body)
    assert answer.status_code == 204
