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
