"""What the request asks for, as two phones live it, on every kind of stack."""

import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest
from websockets.asyncio.client import connect

from infra.client.calls import Calls, client_at
from infra.client.phone import JsonPhone, json_phone
from infra.local.stack import Stack
from tests.e2e.socketio_support import has_no_more, is_delivered
from tests.support.makers import fields_of
from tests.support.stacks import Ids, pushes_to

PhoneOf = Callable[[str], AbstractAsyncContextManager[JsonPhone]]


@pytest.fixture
def stack(any_stack: Stack) -> Stack:
    return any_stack


@pytest.fixture
def phone_of(stack: Stack) -> PhoneOf:
    return lambda user: json_phone(stack.websocket, stack.token(user))


async def test_a_cancel_stops_the_ring_on_the_socket_and_by_push(
    stack: Stack, calls: Calls, ids: Ids, phone_of: PhoneOf
) -> None:
    async with phone_of(ids.caller) as caller, phone_of(ids.receiver) as receiver:
        registered = await receiver.emit("device:register", token=ids.token, platform="android")
        assert registered == {"ok": True, "outcome": "registered"}
        await calls.ring(ids.call, ids.caller, ids.receiver)
        verdict = await caller.emit("call:cancel", callId=ids.call, reason="Caller ended call")
        assert verdict == {"ok": True, "outcome": "cancelled", "callId": ids.call}
        told = await receiver.told("call:cancelled")
        assert (told["callId"], told["reason"]) == (ids.call, "Caller ended call")
        (push,) = await pushes_to(stack, ids.token)
        assert push["data"] == {
            "type": "call_cancelled",
            "callId": ids.call,
            "callerId": ids.caller,
        }
        assert receiver.untold() == 0
        assert caller.untold() == 0
    call = await fields_of(client_at(stack.firestore, stack.project), "calls", ids.call)
    assert call is not None
    assert (call["status"], call["endedBy"], call["reason"]) == (
        "cancelled",
        ids.caller,
        "Caller ended call",
    )
    assert call["signalId"]
    assert call["endedAt"]


@pytest.mark.parametrize(
    "leave", [JsonPhone.hang_up, JsonPhone.die], ids=["disconnected", "killed"]
)
async def test_a_receiver_without_a_socket_is_pushed(
    stack: Stack,
    calls: Calls,
    ids: Ids,
    phone_of: PhoneOf,
    leave: Callable[[JsonPhone], Awaitable[None]],
) -> None:
    async with phone_of(ids.caller) as caller, phone_of(ids.receiver) as receiver:
        await receiver.emit("device:register", token=ids.token, platform="ios")
        await leave(receiver)
        await calls.ring(ids.call, ids.caller, ids.receiver)
        assert (await caller.emit("call:cancel", callId=ids.call))["outcome"] == "cancelled"
        (push,) = await pushes_to(stack, ids.token)
        assert push["data"]["type"] == "call_cancelled"
        assert push["data"]["callId"] == ids.call


async def test_a_rejection_is_the_mirror_of_a_cancel(
    stack: Stack, calls: Calls, ids: Ids, phone_of: PhoneOf
) -> None:
    async with phone_of(ids.caller) as caller, phone_of(ids.receiver) as receiver:
        await caller.emit("device:register", token=ids.token, platform="android")
        await calls.ring(ids.call, ids.caller, ids.receiver)
        assert (await receiver.emit("call:reject", callId=ids.call))["outcome"] == "rejected"
        told = await caller.told("call:rejected")
        assert (told["callId"], told["reason"]) == (ids.call, "User declined")
        (push,) = await pushes_to(stack, ids.token)
        assert push["data"] == {
            "type": "call_rejected",
            "callId": ids.call,
            "callerId": ids.caller,
            "reason": "User declined",
        }
    assert await calls.status(ids.call) == "rejected"


async def test_an_accepted_call_is_told_and_can_no_longer_be_cancelled(
    calls: Calls, ids: Ids, phone_of: PhoneOf
) -> None:
    async with phone_of(ids.caller) as caller, phone_of(ids.receiver) as receiver:
        await calls.ring(ids.call, ids.caller, ids.receiver)
        assert (await receiver.emit("call:accept", callId=ids.call))["outcome"] == "accepted"
        assert (await caller.told("call:accepted"))["callId"] == ids.call
        late = await caller.emit("call:cancel", callId=ids.call)
        assert late == {"ok": False, "outcome": "already_accepted", "callId": ids.call}
        assert receiver.untold() == 0
    assert await calls.status(ids.call) == "accepted"


@pytest.mark.parametrize("who_ends", ["caller", "receiver"])
async def test_either_party_ends_an_accepted_call_and_the_other_one_is_told_once(
    stack: Stack, calls: Calls, ids: Ids, phone_of: PhoneOf, who_ends: str
) -> None:
    async with phone_of(ids.caller) as caller, phone_of(ids.receiver) as receiver:
        ends, hears = (caller, receiver) if who_ends == "caller" else (receiver, caller)
        await calls.ring(ids.call, ids.caller, ids.receiver)
        assert (await receiver.emit("call:accept", callId=ids.call))["outcome"] == "accepted"
        await caller.told("call:accepted")
        verdict = await ends.emit("call:end", callId=ids.call)
        assert verdict == {"ok": True, "outcome": "ended", "callId": ids.call}
        told = await hears.told("call:ended")
        who = ids.caller if who_ends == "caller" else ids.receiver
        assert (told["callId"], told["reason"], told["endedBy"]) == (ids.call, "Call ended", who)
        for phone in (ends, hears):
            again = await phone.emit("call:end", callId=ids.call, reason="Once more")
            assert again == {"ok": True, "outcome": "already_ended", "callId": ids.call}
        await is_delivered(calls, ids.call)
        assert await has_no_more(ends)
        assert await has_no_more(hears)
    call = await fields_of(client_at(stack.firestore, stack.project), "calls", ids.call)
    assert call is not None
    assert (call["status"], call["answeredBy"], call["endedBy"], call["reason"]) == (
        "ended",
        ids.receiver,
        who,
        "Call ended",
    )


async def test_the_end_of_a_call_is_pushed_only_while_it_rings(
    stack: Stack, calls: Calls, ids: Ids, phone_of: PhoneOf
) -> None:
    async with phone_of(ids.caller) as caller, phone_of(ids.receiver) as receiver:
        tokens = {phone: f"{ids.token}-{n}" for n, phone in enumerate((caller, receiver))}
        for phone, token in tokens.items():
            await phone.emit("device:register", token=token, platform="android")
        for ends, hears in ((caller, receiver), (receiver, caller)):
            await calls.ring(ids.call, ids.caller, ids.receiver)
            await receiver.emit("call:accept", callId=ids.call)
            assert (await ends.emit("call:end", callId=ids.call))["outcome"] == "ended"
            await hears.told("call:ended")
            await is_delivered(calls, ids.call)
        # As its caller ends it, it is cancelled; as its receiver does, rejected.
        for ends, hears, status in (
            (caller, receiver, "cancelled"),
            (receiver, caller, "rejected"),
        ):
            await calls.ring(ids.call, ids.caller, ids.receiver)
            verdict = await ends.emit("call:end", callId=ids.call)
            assert verdict == {"ok": True, "outcome": status, "callId": ids.call}
            assert (await hears.told(f"call:{status}"))["callId"] == ids.call
            assert await calls.status(ids.call) == status
            (push,) = await pushes_to(stack, tokens[hears])
            assert push["data"]["type"] == f"call_{status}"


async def test_every_socket_of_the_receiver_is_told_once(
    calls: Calls, ids: Ids, phone_of: PhoneOf
) -> None:
    async with (
        phone_of(ids.caller) as caller,
        phone_of(ids.receiver) as one,
        phone_of(ids.receiver) as two,
        phone_of(ids.receiver) as three,
    ):
        await calls.ring(ids.call, ids.caller, ids.receiver)
        await caller.emit("call:cancel", callId=ids.call)
        for receiver in (one, two, three):
            assert (await receiver.told("call:cancelled"))["callId"] == ids.call
        again = await caller.emit("call:cancel", callId=ids.call)
        assert again == {"ok": True, "outcome": "already_cancelled", "callId": ids.call}
        # An answer comes over the same socket as an event, and after it.
        for receiver in (one, two, three):
            await receiver.emit("device:unregister", token="nothing to wait for")
            assert receiver.untold() == 0


async def test_a_call_without_phones_is_still_cancelled(
    calls: Calls, ids: Ids, phone_of: PhoneOf
) -> None:
    async with phone_of(ids.caller) as caller:
        await calls.ring(ids.call, ids.caller, ids.receiver)
        assert (await caller.emit("call:cancel", callId=ids.call))["ok"]
    assert await calls.status(ids.call) == "cancelled"


async def test_a_receiver_who_connects_after_the_cancel_is_told_once(
    calls: Calls, ids: Ids, phone_of: PhoneOf
) -> None:
    async with phone_of(ids.caller) as caller:
        for number in (1, 2):
            await calls.ring(f"{ids.call}_{number}", ids.caller, ids.receiver)
            assert (await caller.emit("call:cancel", callId=f"{ids.call}_{number}"))["ok"]
            await is_delivered(calls, f"{ids.call}_{number}")
    async with phone_of(ids.receiver) as receiver:
        # One after the other: if the first came twice, the second would be told after both.
        for number in (1, 2):
            assert (await receiver.told("call:cancelled"))["callId"] == f"{ids.call}_{number}"
        assert await has_no_more(receiver)


async def test_a_token_may_come_in_the_query(stack: Stack, ids: Ids) -> None:
    token = stack.token(ids.caller)
    async with connect(f"{stack.websocket}?token={token}&userId={ids.caller}") as socket:
        await socket.send(json.dumps({"event": "call:cancel", "data": {"callId": "CALL_0"}}))
        answer = json.loads(await socket.recv())
    assert answer == {
        "event": "ack",
        "data": {"ok": False, "outcome": "not_found", "callId": "CALL_0"},
    }
