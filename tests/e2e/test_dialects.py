"""Apps with words of their own: the three examples of docs/dialects.md, on real stacks."""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest
from google.cloud.firestore import AsyncClient

from infra.client.calls import client_at
from infra.client.phone import JsonPhone, json_phone
from infra.local.stack import Stack
from tests.support.agora import Phone, agora_phone, speaking
from tests.support.socketio import socketio_client
from tests.support.stacks import pushes_to


def documents_of(stack: Stack) -> AsyncClient:
    return client_at(stack.firestore, stack.project)


async def write(stack: Stack, call: str, **fields: object) -> None:
    """A call, as an app's backend writes it."""
    await documents_of(stack).collection("calls").document(call).set(fields)


async def fields_of(stack: Stack, call: str) -> dict[str, Any]:
    snapshot = await documents_of(stack).collection("calls").document(call).get()
    return snapshot.to_dict() or {}


def number() -> int:
    return uuid.uuid4().int % 10**12


def logged(stack: Stack, message: str) -> list[dict[str, Any]]:
    lines = (stack.logs / "gateway.log").read_text().splitlines()
    entries = [json.loads(line) for line in lines if line.startswith("{")]
    return [entry for entry in entries if entry.get("message") == message]


# Events as ours, opaque tokens, ids with a prefix


@pytest.fixture(scope="module")
async def agora(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with speaking("agora-app", tmp_path_factory, IDENTITY="introspection") as stack:
        yield stack


# What its backend passes on with a ring, for the event and for the push.
PASSED_ON = {
    "callerName": "Ann",
    "callType": "AUDIO",
    "channelName": "room",
    "agoraToken": "007eJx",
    "agoraAppId": "app",
    "balanceTime": "12:00",
}


async def test_the_agora_app_reads_all_that_it_needs(agora: Stack, kind: str) -> None:
    cancelled, answered, rejected = (f"CALL_{number()}" for _ in range(3))
    async with (
        agora_phone(kind, agora, f"USR_{number()}") as his,
        agora_phone(kind, agora, f"USR_{number()}_R") as hers,
    ):
        await cancels(agora, cancelled, his, hers)
        await accepts_and_ends(agora, answered, his, hers)
        await rejects(agora, rejected, his, hers)
        # Her phone is told of its own accept and reject by nothing that would silence another call.
        assert len(await pushes_to(agora, hers.device)) == 4


async def ring(stack: Stack, call: str, his: Phone, hers: Phone) -> None:
    """Asks for a ring as the app's backend does."""
    content = {"callerId": his.user, "receiverId": hers.user, "data": PASSED_ON}
    key = {"Authorization": f"Bearer {stack.values['API_KEY']}"}
    async with httpx.AsyncClient(base_url=stack.functions["api"], trust_env=False) as http:
        answer = await http.put(f"/v1/calls/{call}", json=content, headers=key)
    assert (answer.status_code, answer.json()["callId"]) == (200, call)
    said = {"callId": call, "callerId": his.user, **PASSED_ON}
    await hers.reads("call:incoming", **said)
    # Waited for, as a push that comes after the ring's end is dropped.
    pushed = await hers.is_pushed("incoming_call", call)
    brought = {
        **{name: text for name, text in PASSED_ON.items() if name != "channelName"},
        "channelId": "room",  # without which the app drops it
        "callerId": his.user,
        "timestamp": str(int(pushed["timestamp"])),
    }
    assert pushed.items() >= brought.items()
    assert (await fields_of(stack, call))["status"] == "CONNECTING"


async def cancels(stack: Stack, call: str, his: Phone, hers: Phone) -> None:
    await ring(stack, call, his, hers)
    # Its server also finds a call that is asked for without the prefix, and answers so.
    digits = call.removeprefix("CALL_")
    answer = await his.app.emit("call:cancel", callId=digits, reason="Caller ended call")
    assert answer == {"success": True, "outcome": "cancelled", "callId": digits}
    await hers.reads("call:cancelled", callId=call, reason="Caller ended call")
    assert await hers.is_pushed("call_cancelled", call) == {"callerId": his.user}
    assert (await fields_of(stack, call))["status"] == "CANCELLED"


async def accepts_and_ends(stack: Stack, call: str, his: Phone, hers: Phone) -> None:
    """The app waits for no ack of these."""
    await ring(stack, call, his, hers)
    await hers.app.emit_without_ack("call:accept", callId=call)
    await his.reads("call:accepted", callId=call)
    assert (await fields_of(stack, call))["status"] == "ONGOING"
    await upgrades(call, his, hers)
    await his.app.emit_without_ack("call:end", callId=call)
    await hers.reads("call:ended", callId=call, endedBy=his.user)
    assert (await fields_of(stack, call))["status"] == "ENDED"


async def upgrades(call: str, his: Phone, hers: Phone) -> None:
    relayed = {"success": True, "outcome": "relayed", "callId": call}
    request = {"callId": call, "receiverId": hers.user, "senderId": his.user, "timestamp": 17}
    assert await his.app.emit("call:upgrade", **request) == relayed
    assert await hers.app.told("call:upgrade:request") == request
    response = {**request, "accepted": False, "reason": "not now \U0001f634"}
    assert await hers.app.emit("call:upgrade:response", **response) == relayed
    assert await his.app.told("call:upgrade:response") == response


async def rejects(stack: Stack, call: str, his: Phone, hers: Phone) -> None:
    await ring(stack, call, his, hers)
    await hers.app.emit_without_ack("call:reject", callId=call, reason="User is busy")
    await his.reads("call:rejected", callId=call, reason="User is busy")
    pushed = await his.is_pushed("call_rejected", call)
    assert pushed == {"callerId": his.user, "reason": "User is busy"}
    assert (await fields_of(stack, call))["status"] == "REJECTED"


def agora_json(stack: Stack, user: str) -> AbstractAsyncContextManager[JsonPhone]:
    """A phone on the JSON wire."""
    opaque = stack.identities.opaque
    assert opaque
    return json_phone(stack.websocket, opaque.issue(user))


async def test_only_the_parties_of_an_accepted_call_have_anything_relayed(agora: Stack) -> None:
    call = f"CALL_{number()}"
    parties = {"callerId": f"{call}_HIS", "receiverId": f"{call}_HERS"}

    async def refused(phone: JsonPhone, event: str = "call:upgrade", **data: object) -> str:
        answer = await phone.emit(event, **{"callId": call, **data})
        assert not answer["success"]
        return str(answer["outcome"])

    async with (
        agora_json(agora, parties["callerId"]) as his,
        agora_json(agora, parties["receiverId"]) as hers,
        agora_json(agora, f"{call}_STRANGER") as stranger,
    ):
        for status in ("CONNECTING", "ENDED"):
            await write(agora, call, status=status, **parties)
            assert await refused(his) == "not_accepted"
        await write(agora, call, status="ONGOING", **parties)
        assert await refused(stranger) == "not_found"
        assert await refused(his, callId=f"{call}0") == "not_found"
        assert await refused(his, text="x" * 3000) == "invalid"
        for event in ("call:cancelled", "call:upgrade:request", "call:ended"):
            assert await refused(his, event) == "invalid"
        assert hers.untold() == 0
        answer = await hers.emit("call:upgrade", callId=call, anything={"at": ["all", None]})
        assert answer == {"success": True, "outcome": "relayed", "callId": call}
        told = await his.told("call:upgrade:request")
        assert (told["callId"], told["anything"]) == (call, {"at": ["all", None]})
        assert (hers.untold(), stranger.untold()) == (0, 0)
        await hers.hang_up()
        assert await refused(his) == "not_there"
    verdicts = [each for each in logged(agora, "verdict") if each.get("callId") == call]
    assert [each["outcome"] for each in verdicts if each["request"] == "relay"] == [
        *("not_accepted", "not_accepted", "relayed", "not_there"),
    ]


# `cancelCall`, snake case, numbers


@pytest.fixture(scope="module")
async def snake(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with speaking("snake-case", tmp_path_factory) as stack:
        yield stack


async def test_an_app_with_numbers_in_snake_case_cancels_and_rejects(snake: Stack) -> None:
    call, caller, receiver, device = number(), number(), number(), uuid.uuid4().hex
    parties = {"caller_id": caller, "callee_id": receiver}
    await write(snake, str(call), state="initiated", status="the app's", **parties)
    async with (
        json_phone(snake.websocket, snake.token(str(caller))) as his,
        json_phone(snake.websocket, snake.token(str(receiver))) as hers,
    ):
        await hers.emit("registerDevice", fcm_token=device, platform="android")
        answer = await his.emit("cancelCall", call_id=call, reason="changed my mind")
        assert answer == {"ok": True, "outcome": "cancelled", "call_id": call}
        told = await hers.told("callCancelled")
        assert (told["call_id"], told["reason"]) == (call, "changed my mind")
        assert (await his.emit("cancel_call", callId=str(call)))["call_id"] == str(call)
        fields = await fields_of(snake, str(call))
        assert (fields["state"], fields["status"]) == ("cancelled", "the app's")
        assert fields["ended_by"] == caller
        other = number()
        await write(snake, str(other), state="calling", **parties)
        assert (await hers.emit("rejectCall", call_id=other))["outcome"] == "rejected"
        assert (await his.told("callRejected"))["call_id"] == other
        assert (await fields_of(snake, str(other)))["state"] == "declined"
    (push,) = await pushes_to(snake, device)
    assert push["data"] == {
        "type": "CALL_CANCELLED",
        "call_id": str(call),
        "caller_id": str(caller),
    }
    verdicts = [entry for entry in logged(snake, "verdict") if entry.get("callId") == str(call)]
    assert {entry["request"] for entry in verdicts} == {"call:cancel"}


# Roles as namespaces


@pytest.fixture(scope="module")
async def roles(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with speaking("roles", tmp_path_factory) as stack:
        yield stack


def signed_in(kind: str, stack: Stack, user: str, *namespaces: str) -> Any:
    return socketio_client(
        kind,
        stack.websocket,
        token=stack.token(user),
        user=user,
        namespaces=namespaces,
        events=("call-ended", "call-accepted", "call:error"),
    )


async def test_users_and_agents_meet_in_their_namespaces(roles: Stack, kind: str) -> None:
    call = f"CALL_{number()}"
    user, agent = f"{call}_USER", f"{call}_AGENT"
    ringing = {"callerId": user, "receiverId": agent, "status": "ringing"}
    await write(roles, call, **ringing)
    async with (
        signed_in(kind, roles, user, "/user") as his,
        signed_in(kind, roles, agent, "/agent") as hers,
    ):
        await his.connected()
        await hers.connected()
        answer = await his.emit("cancel-call", callId=call)
        assert answer == {"ok": True, "outcome": "cancelled", "callId": call}
        assert (await hers.told("call-ended"))["cause"] == "caller_cancelled"
        await write(roles, call, **ringing)
        assert (await hers.emit("end-call", callId=call))["outcome"] == "rejected"
        assert (await his.told("call-ended"))["cause"] == "rejected"
        await his.emit_without_ack("accept-call", callId=call)
        assert (await his.told("call:error"))["outcome"] == "forbidden"
        await hers.disconnect()
        await hers.disconnected()
    async with signed_in(kind, roles, user, "/user", "/admin") as his:
        await his.connected()
        assert await his.refused("/admin") == "Invalid namespace"
