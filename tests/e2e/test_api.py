"""An app over HTTPS: whose socket is down, whose page is left, whose phone was woken."""

import json

import httpx
import pytest

from infra.client.calls import Calls
from infra.client.phone import json_phone
from infra.local.stack import Stack
from tests.support.stacks import Ids, pushes_to


@pytest.fixture
def stack(any_stack: Stack) -> Stack:
    return any_stack


async def test_a_cancel_over_https_stops_the_ringing_by_socket_and_by_push(
    stack: Stack, calls: Calls, ids: Ids
) -> None:
    await calls.ring(ids.call, ids.caller, ids.receiver)
    signal = {"event": "call:cancel", "data": {"callId": ids.call, "reason": "page left"}}
    async with (
        json_phone(stack.websocket, stack.token(ids.receiver)) as receiver,
        httpx.AsyncClient(base_url=stack.functions["api"], trust_env=False) as http,
    ):
        await receiver.emit("device:register", token=ids.token, platform="android")
        hers = {"Authorization": f"Bearer {stack.token(ids.receiver)}"}
        ringing = await http.get(f"/v1/calls/{ids.call}", headers=hers)
        assert (ringing.status_code, ringing.json()["status"]) == (200, "ringing")
        # As `navigator.sendBeacon` sends it.
        beacon = json.dumps({**signal, "token": stack.token(ids.caller)})
        answer = await http.post("/v1/signals", content=beacon)
        assert (answer.status_code, answer.json()["outcome"]) == (200, "cancelled")
        told = await receiver.told("call:cancelled")
        assert (told["callId"], told["reason"]) == (ids.call, "page left")
        ended = await http.get(f"/v1/calls/{ids.call}", headers=hers)
        assert ended.json()["status"] == "cancelled"
        strangers = {"Authorization": f"Bearer {stack.token(ids.caller + '_STRANGER')}"}
        assert (await http.get(f"/v1/calls/{ids.call}", headers=strangers)).status_code == 404
        assert (await http.post("/v1/signals", json=signal)).status_code == 401
    (push,) = await pushes_to(stack, ids.token)
    assert push["data"]["callId"] == ids.call


async def test_a_backend_passes_on_what_its_app_has_asked_it_for(
    stack: Stack, calls: Calls, ids: Ids
) -> None:
    await calls.ring(ids.call, ids.caller, ids.receiver)
    async with (
        json_phone(stack.websocket, stack.token(ids.receiver)) as receiver,
        httpx.AsyncClient(base_url=stack.functions["api"], trust_env=False) as http,
    ):
        path, body = f"/v1/calls/{ids.call}/cancel", {"userId": ids.caller, "reason": "by REST"}
        for key, status in (("wrong", 401), ("local", 200), ("local", 200)):
            shown = {"Authorization": f"Bearer {key}"}
            answer = await http.post(path, json=body, headers=shown)
            assert answer.status_code == status
        told = await receiver.told("call:cancelled")
        assert (told["callId"], told["reason"]) == (ids.call, "by REST")
        assert receiver.untold() == 0


async def test_a_backend_makes_a_call_ring_and_what_it_passes_on_arrives(
    stack: Stack, ids: Ids
) -> None:
    path, headers = f"/v1/calls/{ids.call}", {"Authorization": "Bearer local"}
    passed_on = {"channelName": "room", "uid": 7, "nested": [[1], {"a": None}]}
    body = {"callerId": ids.caller, "receiverId": ids.receiver, "data": passed_on}
    async with (
        json_phone(stack.websocket, stack.token(ids.caller)) as caller,
        json_phone(stack.websocket, stack.token(ids.receiver)) as receiver,
        httpx.AsyncClient(base_url=stack.functions["api"], trust_env=False) as http,
    ):
        await receiver.emit("device:register", token=ids.token, platform="android")
        known = await http.put(path, json={**body, "ring": False}, headers=headers)
        assert (known.status_code, receiver.untold()) == (200, 0)
        rung = await http.put(path, json=body, headers=headers)
        assert (rung.status_code, rung.json()["outcome"]) == (200, "ringing")
        told = await receiver.told("call:incoming")
        assert passed_on.items() <= told.items()
        assert (told["callerId"], told["ringsUntil"]) == (ids.caller, rung.json()["ringsUntil"])
        (push,) = await pushes_to(stack, ids.token)
        ring = {name: push["data"].pop(name) for name in ("sentAt", "expiresAt", "ringToken")}
        assert int(ring["expiresAt"]) == told["ringsUntil"] > int(ring["sentAt"])
        assert push["data"] == {
            "type": "incoming_call",
            "callId": ids.call,
            "callerId": ids.caller,
            "timestamp": str(told["timestamp"]),
            "channelName": "room",
            "uid": "7",
            "nested": '[[1],{"a":null}]',
        }
        again = await http.put(path, json=body, headers=headers)
        assert (again.status_code, again.json()["outcome"]) == (200, "already_ringing")
        async with json_phone(stack.websocket, stack.token(ids.receiver)) as tablet:
            assert (await tablet.told("call:incoming"))["callId"] == ids.call
        assert (await caller.emit("call:cancel", callId=ids.call))["outcome"] == "cancelled"
        assert (await receiver.told("call:cancelled"))["callId"] == ids.call
        late = await http.put(path, json=body, headers=headers)
        assert (late.status_code, late.json()["outcome"]) == (409, "already_cancelled")
