"""What was sent before a socket closed counts, though it is handled after."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass

import pytest
from google.cloud.firestore import AsyncClient

from functions.clients.device import device_id
from infra.client.calls import Calls
from infra.client.phone import JsonPhone, json_phone
from infra.emulators.faults import Fault, Kind
from infra.local.stack import Stack
from tests.e2e.socketio_support import connections_of, has_no_more, is_delivered, is_forgotten
from tests.support.makers import fields_of
from tests.support.pace import PATIENCE_SECONDS
from tests.support.stacks import Ids

AT_ONCE = 20
READ = "firestore.BatchGetDocuments"  # the first of what a frame asks of Firestore


@dataclass(frozen=True)
class SentSignal:
    """A signal, who is told of it, and how."""

    signal: str
    is_callers: bool
    event: str
    status: str
    push: str | None


SENT = (
    SentSignal("call:cancel", True, "call:cancelled", "cancelled", "call_cancelled"),
    SentSignal("call:reject", False, "call:rejected", "rejected", "call_rejected"),
    SentSignal("call:accept", False, "call:accepted", "accepted", None),
)


@asynccontextmanager
async def dialled(stack: Stack, users: Sequence[str]) -> AsyncIterator[Sequence[JsonPhone]]:
    """A phone of each user, one after the other: of many at once a busy machine refuses some."""
    async with AsyncExitStack() as phones:
        yield [
            await phones.enter_async_context(json_phone(stack.websocket, stack.token(user)))
            for user in users
        ]


async def are_pushed(stack: Stack, type: str, calls: dict[str, str]) -> None:
    """Waits until FCM has such a message for each token's call, and none for another."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            sent = [message for message in stack.fcm.messages if message.get("token") in calls]
            if {message["token"] for message in sent} == calls.keys():
                break
            await stack.fcm.wait_for(len(stack.fcm.messages) + 1, PATIENCE_SECONDS)
    for message in sent:
        pushed = message["data"]
        assert (pushed["type"], pushed["callId"]) == (type, calls[message["token"]])


async def all_are_heard(stack: Stack, sent: SentSignal, unique: str, count: int) -> None:
    """Sees `count` users send a signal and close at once, and every other party told of it.

    As a rule once; but so much at once may take a busy machine longer than one post may take.
    """
    calls = Calls(stack.firestore, stack.project)
    parties = [Ids(f"{unique}_{number}") for number in range(count)]
    callers, receivers = [each.caller for each in parties], [each.receiver for each in parties]
    senders, told = (callers, receivers) if sent.is_callers else (receivers, callers)
    async with dialled(stack, told) as listening, dialled(stack, senders) as sending:
        phones = list(zip(sending, listening, parties, strict=True))

        for _, phone, each in phones:
            await phone.emit("device:register", token=each.token, platform="android")
            await calls.ring(each.call, each.caller, each.receiver)
        await asyncio.gather(
            *(phone.emit_and_hang_up(sent.signal, callId=each.call) for phone, _, each in phones)
        )
        if sent.push:  # first, as it waits longer: a busy machine takes its time for so many
            await are_pushed(stack, sent.push, {each.token: each.call for each in parties})
        for _, phone, each in phones:
            assert (await phone.told(sent.event))["callId"] == each.call
        for each in parties:
            await is_delivered(calls, each.call)
            assert await calls.status(each.call) == sent.status
        for _, phone, each in phones:
            more = {(name, data["callId"]) for _, name, data in phone.take_events()}
            assert more <= {(sent.event, each.call)}


async def test_twenty_callers_cancel_and_close_at_once_and_all_of_them_are_heard(
    any_stack: Stack, ids: Ids
) -> None:
    await all_are_heard(any_stack, SENT[0], ids.caller, AT_ONCE)


@pytest.mark.thorough
async def test_twenty_callers_are_heard_though_firestore_is_slow_and_all_sockets_close_first(
    stack: Stack, ids: Ids
) -> None:
    slow = Fault(Kind.DELAY, READ, times=None, seconds=0.3)
    with stack.faults.during(slow):
        await all_are_heard(stack, SENT[0], ids.caller, AT_ONCE)
    assert slow.met >= AT_ONCE


@pytest.mark.parametrize("sent", SENT, ids=lambda sent: sent.signal)
async def test_a_signal_that_is_read_after_its_connection_is_forgotten_counts(
    stack: Stack, calls: Calls, ids: Ids, sent: SentSignal
) -> None:
    sender, told = (ids.caller, ids.receiver) if sent.is_callers else (ids.receiver, ids.caller)
    held = Fault(Kind.HOLD, READ, (ids.call,))
    async with dialled(stack, [sender, told]) as (sending, listening):
        await calls.ring(ids.call, ids.caller, ids.receiver)
        with stack.faults.during(held):
            await sending.emit_and_hang_up(sent.signal, callId=ids.call)
            await asyncio.wait_for(held.reached.wait(), PATIENCE_SECONDS)
            await is_forgotten(stack, sender)
            assert await calls.status(ids.call) == "ringing"
        assert (await listening.told(sent.event))["callId"] == ids.call
        await is_delivered(calls, ids.call)
        assert await has_no_more(listening)
    assert await calls.status(ids.call) == sent.status


@pytest.mark.parametrize("is_slow", [False, True], ids=["at once", "read after the close"])
async def test_a_device_that_is_registered_before_its_socket_closes_is_pushed(
    stack: Stack, calls: Calls, documents: AsyncClient, ids: Ids, is_slow: bool
) -> None:
    async with dialled(stack, [ids.caller, ids.receiver]) as (caller, receiver):
        (connection,) = await connections_of(stack, ids.receiver)
        held = Fault(Kind.HOLD, READ, (connection,), times=None)
        with stack.faults.during(held) if is_slow else nullcontext():
            await receiver.emit_and_hang_up("device:register", token=ids.token, platform="android")
            await is_forgotten(stack, ids.receiver)
        device = device_id(ids.token)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await fields_of(documents, "devices", device) is None:  # noqa: ASYNC110 - Firestore tells nobody
                await asyncio.sleep(0.02)
        await calls.ring(ids.call, ids.caller, ids.receiver)
        assert (await caller.emit("call:cancel", callId=ids.call))["ok"]
        await are_pushed(stack, "call_cancelled", {ids.token: ids.call})


async def test_a_connection_that_has_closed_is_kept_for_a_minute_and_told_nothing(
    stack: Stack, documents: AsyncClient, ids: Ids
) -> None:
    async with dialled(stack, [ids.caller]):
        (connection,) = await connections_of(stack, ids.caller)
    await is_forgotten(stack, ids.caller)
    fields = await fields_of(documents, "connections", connection)
    assert fields is not None
    assert fields["owner"] == ids.caller
    assert (fields["expiresAt"] - fields["closedAt"]).total_seconds() == 60  # type: ignore[operator] # two datetimes
