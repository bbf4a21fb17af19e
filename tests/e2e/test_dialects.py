"""Apps with words of their own: the three examples of docs/dialects.md, on real stacks."""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from google.cloud.firestore import AsyncClient

from infra import ROOT
from infra.client.calls import client_at
from infra.client.phone import json_phone
from infra.local.stack import Options, Stack, running
from tests.support.socketio import SocketIoApp, socketio_client
from tests.support.stacks import pushes_to

AGORA_EVENTS = ("call:incoming", "call:cancelled", "call:accepted", "call:ended", "call:error")


@asynccontextmanager
async def speaking(
    name: str, paths: pytest.TempPathFactory, **settings: str
) -> AsyncIterator[Stack]:
    """A stack in an example's dialect."""
    dialect = (ROOT / f"docs/dialects/{name}.toml").read_text()  # as Terraform gives it
    options = Options(port=0, settings={"DIALECT": dialect, **settings}, logs=paths.mktemp("logs"))
    async with running(options) as stack:
        yield stack


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


async def test_an_app_with_words_for_its_calls_rings_and_cancels_as_before(
    agora: Stack, kind: str
) -> None:
    opaque = agora.identities.opaque
    assert opaque
    digits, device = str(number()), uuid.uuid4().hex
    call, caller, receiver = f"CALL_{digits}", f"USR_{digits}", f"USR_{digits}_R"
    apps = [
        socketio_client(
            kind, agora.websocket, token=opaque.issue(user), user=user, events=AGORA_EVENTS
        )
        for user in (caller, receiver)
    ]
    async with apps[0] as his, apps[1] as hers:
        await his.connected()
        await hers.connected()
        assert (await hers.emit("device:register", token=device, platform="android"))["success"]
        await ring(agora, call, caller, receiver)
        told = await hers.told("call:incoming")
        assert (told["callId"], told["channelName"]) == (call, "room")
        assert (await fields_of(agora, call))["status"] == "CONNECTING"
        # It asks without the prefix, and is answered so.
        answer = await his.emit("call:cancel", callId=digits, reason="Caller ended call")
        assert answer == {"success": True, "outcome": "cancelled", "callId": digits}
        told = await hers.told("call:cancelled")
        assert (told["callId"], told["reason"]) == (call, "Caller ended call")
        assert (await fields_of(agora, call))["status"] == "CANCELLED"
        await ends(agora, call, his, hers)
    pushes = [message["data"] for message in await pushes_to(agora, device, 2)]
    ringing, cancelled = sorted(pushes, key=lambda data: data["type"], reverse=True)
    assert (ringing["type"], ringing["channelId"]) == ("incoming_call", "room")
    assert "channelName" not in ringing
    assert cancelled == {"type": "call_cancelled", "callId": call, "callerId": caller}


async def ring(stack: Stack, call: str, caller: str, receiver: str) -> None:
    """Asks for a ring as the app's backend does."""
    content = {"callerId": caller, "receiverId": receiver, "data": {"channelName": "room"}}
    async with httpx.AsyncClient(base_url=stack.functions["api"], trust_env=False) as http:
        answer = await http.put(
            f"/v1/calls/{call}", json=content, headers={"Authorization": "Bearer local"}
        )
    assert (answer.status_code, answer.json()["callId"]) == (200, call)


async def ends(stack: Stack, call: str, his: SocketIoApp, hers: SocketIoApp) -> None:
    """Sees the call end that the backend has taken for accepted."""
    parties = await fields_of(stack, call)
    await write(stack, call, **{**parties, "status": "ONGOING"})
    assert (await hers.emit("call:end", callId=call))["outcome"] == "ended"
    assert (await his.told("call:ended"))["callId"] == call
    assert (await fields_of(stack, call))["status"] == "ENDED"


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
