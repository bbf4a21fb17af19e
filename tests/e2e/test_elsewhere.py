"""One user on two devices and three sockets: his answer on one of them silences the others."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx
import pytest

from infra.client.calls import Calls, client_at
from infra.client.phone import Phone, json_phone, socketio_phone
from infra.local.stack import Stack
from tests.e2e.socketio_support import has_no_more, is_delivered
from tests.support.makers import fields_of
from tests.support.stacks import Ids, pushes_to

ELSEWHERE = {
    "call:accept": ("Answered elsewhere", "answered_elsewhere", "accepted"),
    "call:reject": ("Declined elsewhere", "rejected_elsewhere", "rejected"),
}


@dataclass
class Receiver:
    """His phone, with a socket that registered it and another one; his tablet, with its socket; and
    a third device, which is registered and has no socket."""

    phone: Phone
    screen: Phone  # the phone's second socket, as an app opens it with its ringing screen
    tablet: Phone
    tokens: dict[str, str]


@pytest.fixture
async def caller(stack: Stack, ids: Ids) -> AsyncIterator[Phone]:
    async with json_phone(stack.websocket, stack.token(ids.caller)) as phone:
        yield phone


@pytest.fixture(params=["named", "unnamed"])
async def receiver(
    request: pytest.FixtureRequest, stack: Stack, ids: Ids
) -> AsyncIterator[Receiver]:
    is_named = request.param == "named"
    tokens = {name: f"{ids.token}-{name}" for name in ("phone", "tablet", "watch")}
    token = stack.token(ids.receiver)

    def at(device: str) -> str:
        return f"{stack.websocket}?deviceId={device}" if is_named else stack.websocket

    async with AsyncExitStack() as opened:
        phone = await opened.enter_async_context(json_phone(at("phone"), token))
        screen = await opened.enter_async_context(json_phone(at("phone"), token))
        tablet = await opened.enter_async_context(
            socketio_phone(stack.websocket, token, device="tablet" if is_named else None)
        )
        for by, device in ((phone, "phone"), (tablet, "tablet"), (screen, "watch")):
            if device == "watch" and not is_named:
                continue
            named = {"deviceId": device} if is_named else {}
            said = await by.emit(
                "device:register", token=tokens[device], platform="android", **named
            )
            assert said["ok"]
        if is_named:  # so that the screen's socket is the phone's again
            await screen.emit(
                "device:register", token=tokens["phone"], platform="android", deviceId="phone"
            )
        yield Receiver(phone, screen, tablet, tokens)


@pytest.mark.parametrize("signal", ELSEWHERE)
async def test_an_answer_by_a_socket_silences_the_other_devices_alone(
    stack: Stack, calls: Calls, ids: Ids, caller: Phone, receiver: Receiver, signal: str
) -> None:
    reason, cause, status = ELSEWHERE[signal]
    await calls.ring(ids.call, ids.caller, ids.receiver)
    assert (await receiver.phone.emit(signal, callId=ids.call))["ok"]
    told = await receiver.tablet.told("call:cancelled")
    assert (told["callId"], told["reason"], told["cause"]) == (ids.call, reason, cause)
    await caller.told(f"call:{status}")
    await is_delivered(calls, ids.call)
    assert await has_no_more(receiver.phone)
    (push,) = await pushes_to(stack, receiver.tokens["tablet"])
    assert push["data"] == {
        "type": "call_cancelled",
        "callId": ids.call,
        "callerId": ids.caller,
        "cause": cause,
    }
    assert not await pushes_to(stack, receiver.tokens["phone"], 0)


async def test_the_other_socket_of_the_same_device_hears_nothing(
    stack: Stack, calls: Calls, ids: Ids, receiver: Receiver
) -> None:
    document = await fields_of(client_at(stack.firestore, stack.project), "calls", ids.call)
    assert document is None
    await calls.ring(ids.call, ids.caller, ids.receiver)
    assert (await receiver.phone.emit("call:accept", callId=ids.call))["ok"]
    await receiver.tablet.told("call:cancelled")
    await is_delivered(calls, ids.call)
    document = await fields_of(client_at(stack.firestore, stack.project), "calls", ids.call)
    assert document
    if "answeredOn" in document:  # it is named, and so is the second socket's
        assert document["answeredOn"] == "phone"
        assert await has_no_more(receiver.screen)
        await pushes_to(stack, receiver.tokens["watch"])
    else:
        assert document["answeredOnRegistration"]
        await receiver.screen.told("call:cancelled")


async def test_who_answered_may_repeat_it_after_a_reconnect_and_no_other_device_of_his_may(
    stack: Stack, calls: Calls, ids: Ids, receiver: Receiver
) -> None:
    await calls.ring(ids.call, ids.caller, ids.receiver)
    accepted = {"callId": ids.call, "deviceId": "phone"}
    assert (await receiver.phone.emit("call:accept", **accepted))["outcome"] == "accepted"
    async with json_phone(stack.websocket, stack.token(ids.receiver)) as again:
        verdict = await again.emit("call:accept", **accepted)
        assert (verdict["ok"], verdict["outcome"]) == (True, "already_accepted")
        assert await has_no_more(again)  # whatever device it is: it may be the one that answered
    verdict = await receiver.tablet.emit("call:accept", callId=ids.call, deviceId="tablet")
    assert (verdict["ok"], verdict["outcome"]) == (False, "already_accepted")


@pytest.mark.parametrize("device", ["phone", None])
@pytest.mark.parametrize("receiver", ["named"], indirect=True)
async def test_an_answer_over_https_silences_the_other_devices_if_it_names_its_own(
    stack: Stack, calls: Calls, ids: Ids, receiver: Receiver, device: str | None
) -> None:
    await calls.ring(ids.call, ids.caller, ids.receiver)
    data = {"callId": ids.call, **({"deviceId": device} if device else {})}
    async with httpx.AsyncClient(base_url=stack.functions["api"], trust_env=False) as http:
        answer = await http.post(
            "/v1/signals",
            json={"event": "call:accept", "data": data},
            headers={"Authorization": f"Bearer {stack.token(ids.receiver)}"},
        )
    assert answer.json()["outcome"] == "accepted"
    await receiver.tablet.told("call:cancelled")
    await is_delivered(calls, ids.call)
    if device:
        await pushes_to(stack, receiver.tokens["tablet"])
        assert await has_no_more(receiver.phone)
        assert await has_no_more(receiver.screen)
    else:  # which of his phones it was, nobody knows: his sockets are told, and no phone is pushed
        await receiver.phone.told("call:cancelled")
        await receiver.screen.told("call:cancelled")
        assert not await pushes_to(stack, receiver.tokens["tablet"], 0)
    assert not await pushes_to(stack, receiver.tokens["phone"], 0)
