"""A phone that was killed and is woken by a ring: with its ring token it reads the one call, hears
how it ends and declines it, without signing in."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from functions.calls.call import CallId
from functions.clients.ringtoken import RingToken
from functions.services.ring_tokens import SignedRingTokens
from infra.client.phone import JsonPhone, json_phone
from infra.local.stack import Stack
from tests.support.makers import now
from tests.support.socketio import SocketIoApp, socketio_client
from tests.support.socketio_clients import EVENTS
from tests.support.stacks import Ids, pushes_to

KEY = {"Authorization": "Bearer local"}
DEVICE = "phone 1"
JSON = "json"


@asynccontextmanager
async def api_of(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stack.functions["api"], trust_env=False) as http:
        yield http


async def rung(http: httpx.AsyncClient, ids: Ids, call: CallId | None = None) -> dict[str, Any]:
    """The backend's ring, as it is answered."""
    body = {"callerId": ids.caller, "receiverId": ids.receiver}
    answer = await http.put(f"/v1/calls/{call or ids.call}", json=body, headers=KEY)
    assert answer.status_code == 200
    said: dict[str, Any] = answer.json()
    return said


async def woken(stack: Stack, http: httpx.AsyncClient, ids: Ids) -> Mapping[str, str]:
    """What a killed phone is pushed once its user is rung."""
    device = {"token": ids.token, "platform": "android", "deviceId": DEVICE}
    await http.put(f"/v1/users/{ids.receiver}/devices", json=device, headers=KEY)
    ring = await rung(http, ids)
    (push,) = await pushes_to(stack, ids.token)
    data: Mapping[str, str] = push["data"]
    assert int(data["sentAt"]) < int(data["expiresAt"]) == ring["ringsUntil"]
    return data


async def read(http: httpx.AsyncClient, ids: Ids, token: str) -> str:
    """What has become of the call."""
    shown = {"Authorization": f"Bearer {token}"}
    answer = await http.get(f"/v1/calls/{ids.call}", headers=shown)
    assert answer.status_code == 200
    return str(answer.json()["status"])


@asynccontextmanager
async def json_by(stack: Stack, token: str) -> AsyncIterator[JsonPhone]:
    async with connect(f"{stack.websocket}?{urlencode({'ring': token})}") as socket:
        yield JsonPhone(socket)


@asynccontextmanager
async def socketio_by(
    kind: str, stack: Stack, token: str, *, in_query: bool
) -> AsyncIterator[SocketIoApp]:
    events = (*EVENTS, "call:incoming")
    async with socketio_client(
        kind, stack.websocket, ring=token, in_query=in_query, events=events
    ) as app:
        await app.connected()
        yield app


def app_by(
    kind: str, stack: Stack, token: str, *, in_query: bool = True
) -> AbstractAsyncContextManager[JsonPhone | SocketIoApp]:
    """A phone's app that shows its ring token, and nothing else."""
    return (
        json_by(stack, token)
        if kind == JSON
        else socketio_by(kind, stack, token, in_query=in_query)
    )


async def told_of(phone: JsonPhone, event: str, call: str) -> None:
    """Waits until the phone is told of this call: it may be told twice of another."""
    while (await phone.told(event))["callId"] != call:
        pass


async def hears_its_call_alone(stack: Stack, ids: Ids, kind: str, *, in_query: bool = True) -> None:
    other = CallId(f"{ids.call}_OTHER")
    async with (
        api_of(stack) as http,
        json_phone(stack.websocket, stack.token(ids.caller)) as caller,
        json_phone(stack.websocket, stack.token(ids.receiver)) as tablet,
    ):
        token = (await woken(stack, http, ids))["ringToken"]
        assert await read(http, ids, token) == "ringing"
        await tablet.told("call:incoming")
        async with app_by(kind, stack, token, in_query=in_query) as phone:
            assert (await phone.told("call:incoming"))["callId"] == ids.call
            await rung(http, ids, other)
            await told_of(tablet, "call:incoming", other)
            for call, signal in (
                (ids.call, "call:accept"),
                (ids.call, "call:end"),
                (other, "call:reject"),
                (other, "call:cancel"),
            ):
                verdict = await phone.emit(signal, callId=call)
                assert (verdict["ok"], verdict["outcome"]) == (False, "forbidden")
            verdict = await phone.emit("device:register", token="t", platform="ios")
            assert verdict["outcome"] == "forbidden"
            for call in (other, ids.call):
                assert (await caller.emit("call:cancel", callId=call))["ok"]
                await told_of(tablet, "call:cancelled", call)
            told = await phone.told("call:cancelled")
            assert (told["callId"], told["cause"]) == (ids.call, "caller_cancelled")
            assert phone.untold() == 0
        # And a phone that connects only now.
        async with app_by(kind, stack, token, in_query=in_query) as late:
            assert (await late.told("call:cancelled"))["callId"] == ids.call
            assert (await late.emit("call:reject", callId=ids.call))["outcome"] == (
                "already_cancelled"
            )
            assert late.untold() == 0
        assert await read(http, ids, token) == "cancelled"
    logged = "".join(path.read_text() for path in stack.logs.glob("*.log"))
    assert ids.call in logged
    assert token.rpartition(".")[2] not in logged


async def test_a_woken_phone_hears_its_call_and_no_other(any_stack: Stack, ids: Ids) -> None:
    await hears_its_call_alone(any_stack, ids, JSON)


async def test_a_woken_app_with_socketio_hears_its_call_and_no_other(
    embedded_stack: Stack, ids: Ids, kind: str
) -> None:
    await hears_its_call_alone(embedded_stack, ids, kind)


async def test_a_woken_app_may_show_its_ring_token_in_its_connect(
    embedded_stack: Stack, ids: Ids, kind: str
) -> None:
    await hears_its_call_alone(embedded_stack, ids, kind, in_query=False)


async def test_a_woken_phone_declines_by_its_socket(
    embedded_stack: Stack, ids: Ids, kind: str
) -> None:
    async with (
        api_of(embedded_stack) as http,
        json_phone(embedded_stack.websocket, embedded_stack.token(ids.caller)) as caller,
    ):
        token = (await woken(embedded_stack, http, ids))["ringToken"]
        async with app_by(kind, embedded_stack, token) as phone:
            verdict = await phone.emit("call:reject", callId=ids.call, reason="busy")
            assert verdict["outcome"] == "rejected"
        told = await caller.told("call:rejected")
        assert (told["callId"], told["reason"]) == (ids.call, "busy")


async def test_a_woken_phone_declines_over_https(any_stack: Stack, ids: Ids) -> None:
    async with (
        api_of(any_stack) as http,
        json_phone(any_stack.websocket, any_stack.token(ids.caller)) as caller,
    ):
        token = (await woken(any_stack, http, ids))["ringToken"]
        shown = {"Authorization": f"Bearer {token}"}
        accepted = await http.post(f"/v1/calls/{ids.call}/accept", headers=shown, json={})
        assert accepted.status_code == 403
        rejected = await http.post(f"/v1/calls/{ids.call}/reject", headers=shown)
        assert (rejected.status_code, rejected.json()["outcome"]) == (200, "rejected")
        assert (await caller.told("call:rejected"))["callId"] == ids.call
        assert await read(http, ids, token) == "rejected"


async def test_who_declines_on_a_woken_phone_silences_his_other_devices_alone(
    embedded_stack: Stack, ids: Ids
) -> None:
    """The app names no device: each is known by what has registered it."""
    tablet = f"{ids.token}-tablet"
    async with api_of(embedded_stack) as http:
        for token in (ids.token, tablet):
            device = {"token": token, "platform": "android"}
            await http.put(f"/v1/users/{ids.receiver}/devices", json=device, headers=KEY)
        await rung(http, ids)
        (ring,) = await pushes_to(embedded_stack, ids.token)
        shown = {"Authorization": f"Bearer {ring['data']['ringToken']}"}
        await http.post(f"/v1/calls/{ids.call}/reject", headers=shown)
        _, silenced = await pushes_to(embedded_stack, tablet, 2)
        assert silenced["data"]["cause"] == "rejected_elsewhere"
        # All of one event's messages are sent together.
        assert len(await pushes_to(embedded_stack, ids.token)) == 1


async def test_the_backend_may_wake_the_phone_by_itself(any_stack: Stack, ids: Ids) -> None:
    async with (
        api_of(any_stack) as http,
        json_phone(any_stack.websocket, any_stack.token(ids.caller)) as caller,
    ):
        ring = await rung(http, ids)
        assert ring["sentAt"] < ring["expiresAt"] == ring["ringsUntil"]
        async with app_by(JSON, any_stack, ring["ringToken"]) as phone:
            await phone.told("call:incoming")
            await caller.emit("call:cancel", callId=ids.call)
            assert (await phone.told("call:cancelled"))["callId"] == ids.call


async def test_a_ring_token_of_no_call_is_refused(
    embedded_stack: Stack, ids: Ids, kind: str
) -> None:
    signer = SignedRingTokens(embedded_stack.values["RING_TOKEN_SECRET"])
    unknown = signer.sign(RingToken(ids.call, ids.receiver), now())
    foreign = SignedRingTokens("x" * 32).sign(RingToken(ids.call, ids.receiver), now())
    assert unknown
    assert foreign
    for token, message in (
        (unknown, "the call of the ring token is over"),
        (foreign, "the ring token is not valid"),
    ):
        with pytest.raises(InvalidStatus, match="401"):
            await connect(f"{embedded_stack.websocket}?{urlencode({'ring': token})}")
        async with socketio_client(
            kind, embedded_stack.websocket, ring=token, in_query=True
        ) as app:
            assert await app.refused() == message
