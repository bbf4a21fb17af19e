"""What an app's backend does to its users: real clients are signed out, and a user is erased."""

from collections.abc import AsyncIterator

import httpx
import pytest

from infra.client.calls import Calls
from infra.client.phone import json_phone
from infra.local.stack import Stack
from tests.e2e.socketio_support import DELAY_SECONDS, close_by_gateway
from tests.support.relay import relay
from tests.support.socketio import signed_in, socketio_client
from tests.support.stacks import Ids


@pytest.fixture
def stack(any_stack: Stack) -> Stack:
    return any_stack


@pytest.fixture
async def backend(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    key = {"Authorization": "Bearer local"}
    url = stack.functions["api"]
    async with httpx.AsyncClient(base_url=url, headers=key, trust_env=False) as http:
        yield http


async def test_a_client_that_is_signed_out_does_not_come_back(
    kind: str, embedded_stack: Stack, ids: Ids
) -> None:
    stack, token = embedded_stack, embedded_stack.token(ids.receiver)
    path = f"{stack.functions['api']}/v1/users/{ids.receiver}/connections"
    async with (
        httpx.AsyncClient(headers={"Authorization": "Bearer local"}, trust_env=False) as http,
        relay(stack.websocket) as way,
        socketio_client(kind, way.url, token=token, delay_seconds=DELAY_SECONDS) as client,
    ):
        await client.connected()
        assert (await http.get(path)).json()["online"] is True
        signed_out = await http.delete(path)
        assert (signed_out.status_code, signed_out.json()["closed"]) == (200, 1)
        await client.disconnected()
        assert (await http.get(path)).json()["online"] is False
        # In the time that a client takes to come back twice, it has not tried to.
        async with signed_in(kind, stack, ids.caller, delay_seconds=DELAY_SECONDS) as other:
            await other.connected()
            for _ in range(2):
                await close_by_gateway(stack, ids.caller)
                await other.connected()
        assert len(way.handshakes) == 1


async def test_the_phones_of_who_is_erased_while_he_is_rung_stop_ringing(
    stack: Stack, backend: httpx.AsyncClient, calls: Calls, ids: Ids
) -> None:
    him, device = f"/v1/users/{ids.receiver}", {"token": ids.token, "platform": "android"}
    await calls.ring(ids.call, ids.caller, ids.receiver)
    async with (
        json_phone(stack.websocket, stack.token(ids.receiver)) as receiver,
        json_phone(stack.websocket, stack.token(ids.caller)) as caller,
    ):
        assert (await backend.put(f"{him}/devices", json=device)).status_code == 200
        erased = await backend.delete(him, timeout=30)
        counts = {"connections": 1, "devices": 1, "calls": 1}
        assert (erased.status_code, erased.json()) == (
            200,
            {"ok": True, "outcome": "erased", **counts},
        )
        assert (await receiver.told("call:cancelled"))["callId"] == ids.call
        assert (await caller.told("call:rejected"))["callId"] == ids.call
        await receiver.socket.wait_closed()
    # It was there before his devices went.
    (message,) = [each for each in stack.fcm.messages if each.get("token") == ids.token]
    assert message["data"]["type"] == "call_cancelled"


async def test_of_who_is_erased_nothing_is_left_and_his_call_rings_no_more(
    stack: Stack, backend: httpx.AsyncClient, calls: Calls, ids: Ids
) -> None:
    him, device = f"/v1/users/{ids.caller}", {"token": ids.token, "platform": "android"}
    await calls.ring(ids.call, ids.caller, ids.receiver)
    async with (
        json_phone(stack.websocket, stack.token(ids.receiver)) as receiver,
        json_phone(stack.websocket, stack.token(ids.caller)) as caller,
    ):
        assert (await backend.put(f"{him}/devices", json=device)).status_code == 200
        erased = await backend.delete(him)
        counts = {"connections": 1, "devices": 1, "calls": 1}
        assert (erased.status_code, erased.json()) == (
            200,
            {"ok": True, "outcome": "erased", **counts},
        )
        assert (await receiver.told("call:cancelled"))["callId"] == ids.call
        await caller.socket.wait_closed()
    assert (await backend.get(f"{him}/devices")).json()["devices"] == []
    again = await backend.delete(him)
    assert (again.status_code, again.json()["calls"]) == (200, 0)
    hers = {"Authorization": f"Bearer {stack.token(ids.receiver)}"}
    call = await backend.get(f"/v1/calls/{ids.call}", headers=hers)
    assert call.json()["status"] == "cancelled"
    his = {"Authorization": f"Bearer {stack.token(ids.caller)}"}
    assert (await backend.get(f"/v1/calls/{ids.call}", headers=his)).status_code == 404
