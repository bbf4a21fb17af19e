"""Whoever connects is told what he has missed, once, as long as it is true."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Any

import pytest
from google.cloud.firestore import AsyncClient, FieldFilter

from infra.client.calls import Calls, client_at
from infra.client.phone import JsonPhone, json_phone, phone
from infra.local.stack import Stack
from tests.e2e.socketio_support import connections_of, has_no_more, is_delivered
from tests.support.collections import OUTBOX
from tests.support.makers import now
from tests.support.pace import PATIENCE_SECONDS
from tests.support.relay import relay
from tests.support.socketio import KINDS, SocketIoApp, signed_in
from tests.support.stacks import Ids

JSON = "json"
SOON, LATE = 1.0, 15.0  # seconds from the cancel to the connection


@dataclass(frozen=True)
class Missed:
    """Calls that were cancelled before their receivers connected, by when they do and by what."""

    cancelled_at: float
    calls: Mapping[tuple[float, str], Ids]


@pytest.fixture(scope="module", autouse=True)
async def missed(embedded_stack: Stack) -> Missed:
    """Made before the first test here, so that those in between pass the time."""
    calls = Calls(embedded_stack.firestore, embedded_stack.project)
    made = {
        (delay, kind): Ids(f"missed_{delay:.0f}_{kind}")
        for delay in (SOON, LATE)
        for kind in (JSON, *KINDS)
    }
    caller = next(iter(made.values())).caller
    async with phone(embedded_stack.websocket, caller, embedded_stack.project) as calling:
        for each in made.values():
            await calls.ring(each.call, caller, each.receiver)
        cancelled_at = monotonic()
        for each in made.values():
            assert (await calling.emit("call:cancel", callId=each.call))["ok"]
    for each in made.values():
        await is_delivered(calls, each.call)
    return Missed(cancelled_at, made)


def app_of(
    kind: str, stack: Stack, user: str
) -> AbstractAsyncContextManager[JsonPhone | SocketIoApp]:
    if kind == JSON:
        return json_phone(stack.websocket, stack.token(user))
    return signed_in(kind, stack, user)


async def entries_of(documents: AsyncClient, user: str) -> Sequence[Any]:
    """The events that `user` may be told, as snapshots."""
    tells_user = FieldFilter("recipients", "array_contains", user)
    return list(await documents.collection(OUTBOX).where(filter=tells_user).get())


async def served(documents: AsyncClient, user: str, call: str) -> set[str]:
    """The connections that have an event of this call, as it stands in the outbox."""
    entries = [entry.to_dict() for entry in await entries_of(documents, user)]
    of_call = [entry for entry in entries if entry["event"]["callId"] == call]
    return {connection for entry in of_call for connection in entry.get("served", ())}


async def hears_once(app: JsonPhone | SocketIoApp, stack: Stack, user: str, *calls: str) -> None:
    """Sees the app told of these cancelled calls in this order, and of nothing else."""
    for call in calls:
        assert (await app.told("call:cancelled"))["callId"] == call
    documents = client_at(stack.firestore, stack.project)
    (connection,) = await connections_of(stack, user)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while connection not in await served(documents, user, calls[-1]):  # noqa: ASYNC110 - Firestore tells nobody
            await asyncio.sleep(0.02)
    assert await has_no_more(app)


async def all_hear_once(stack: Stack, missed: Missed, delay: float, kinds: Sequence[str]) -> None:
    async def connects(kind: str) -> None:
        each = missed.calls[delay, kind]
        async with app_of(kind, stack, each.receiver) as app:
            await hears_once(app, stack, each.receiver, each.call)

    await asyncio.sleep(missed.cancelled_at + delay - monotonic())
    async with asyncio.TaskGroup() as tasks:
        for kind in kinds:
            tasks.create_task(connects(kind))


async def test_who_connects_a_second_after_the_cancel_is_told_of_it_once(
    stack: Stack, missed: Missed, kinds: Sequence[str]
) -> None:
    await all_hear_once(stack, missed, SOON, (JSON, *kinds))


@pytest.mark.parametrize(
    "leave", [JsonPhone.hang_up, JsonPhone.die], ids=["disconnected", "killed"]
)
async def test_a_caller_whose_socket_was_down_when_the_receiver_accepted_is_told(
    stack: Stack, calls: Calls, ids: Ids, leave: Callable[[JsonPhone], Any]
) -> None:
    await calls.ring(ids.call, ids.caller, ids.receiver)
    async with (
        phone(stack.websocket, ids.caller, stack.project) as caller,
        phone(stack.websocket, ids.receiver, stack.project) as receiver,
    ):
        await leave(caller)
        back_again = asyncio.create_task(asyncio.sleep(0.3))
        assert (await receiver.emit("call:accept", callId=ids.call))["ok"]
        await back_again
        async with phone(stack.websocket, ids.caller, stack.project) as caller:
            assert (await caller.told("call:accepted"))["callId"] == ids.call


async def test_a_caller_whose_socket_is_half_open_is_told_on_the_next_one(
    stack: Stack, calls: Calls, documents: AsyncClient, ids: Ids
) -> None:
    token = stack.token(ids.caller)
    await calls.ring(ids.call, ids.caller, ids.receiver)
    async with (
        phone(stack.websocket, ids.receiver, stack.project) as receiver,
        relay(stack.websocket) as way,
        json_phone(way.url, token) as dead,
    ):
        way.hold()
        assert (await receiver.emit("call:accept", callId=ids.call))["ok"]
        # As API Gateway sees it, the caller has the event.
        await is_delivered(calls, ids.call)
        connection = await connections_of(stack, ids.caller)
        assert await served(documents, ids.caller, ids.call) == set(connection)
        async with json_phone(stack.websocket, token) as alive:
            assert (await alive.told("call:accepted"))["callId"] == ids.call
            assert await has_no_more(alive)
        assert dead.untold() == 0
        way.release()
        assert (await dead.told("call:accepted"))["callId"] == ids.call


async def test_nobody_is_told_of_what_has_gone_on_or_is_over_or_is_not_his(
    stack: Stack, calls: Calls, documents: AsyncClient, ids: Ids
) -> None:
    rings, again, others, old, last = (f"{ids.call}_{number}" for number in range(5))

    async with phone(stack.websocket, ids.caller, stack.project) as caller:

        async def cancelled(call: str, receiver: str = ids.receiver) -> None:
            await calls.ring(call, ids.caller, receiver)
            assert (await caller.emit("call:cancel", callId=call))["outcome"] == "cancelled"
            await is_delivered(calls, call)

        await cancelled(rings)
        await calls.ring(rings, ids.caller, ids.receiver)
        await cancelled(again)
        await cancelled(again)
        await cancelled(others, f"{ids.receiver}_ELSE")
        await cancelled(old)
        for entry in await entries_of(documents, ids.receiver):
            if entry.get("event.callId") == old:
                await entry.reference.update({"expiresAt": now() - timedelta(seconds=1)})
        await cancelled(last)
    async with phone(stack.websocket, ids.receiver, stack.project) as receiver:
        # What was missed is told in its order, so that the last one would come after all others.
        await hears_once(receiver, stack, ids.receiver, again, last)


@pytest.mark.thorough
async def test_who_connects_fifteen_seconds_after_the_cancel_is_told_of_it_once(
    stack: Stack, missed: Missed, kinds: Sequence[str]
) -> None:
    await all_hear_once(stack, missed, LATE, (JSON, *kinds))
