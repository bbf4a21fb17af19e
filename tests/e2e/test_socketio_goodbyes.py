"""Socket.IO clients that say goodbye: what they sent before counts, and then they are nobody's."""

import asyncio
import json
from contextlib import AsyncExitStack

import pytest

from functions.clients.connection import Wire
from infra.client.calls import Calls
from infra.client.phone import JsonPhone, phone
from infra.local.stack import Stack
from tests.e2e.socketio_support import has_no_more, is_delivered, is_forgotten
from tests.support import node
from tests.support.attackers import Attacker, attacker
from tests.support.pace import PATIENCE_SECONDS
from tests.support.socketio import signed_in
from tests.support.stacks import Ids

AT_ONCE = 10
FAREWELL = node.PACKAGES.with_name("farewell.js")
GOODBYES = [(Wire.EIO4, "41"), (Wire.EIO4, "41/,"), (Wire.EIO3, "41")]
FORBIDDEN = {
    "ok": False,
    "outcome": "forbidden",
    "field": "connection",
    "message": "connection is not authenticated",
}


async def ringing(calls: Calls, ids: Ids) -> dict[str, str]:
    """Calls to the receiver, by their callers."""
    made = {f"{ids.caller}_{number}": f"{ids.call}_{number}" for number in range(AT_ONCE)}
    for caller, call in made.items():
        await calls.ring(call, caller, ids.receiver)
    return made


async def are_cancelled(calls: Calls, receiver: JsonPhone, expected: set[str]) -> None:
    """Waits until the receiver is told of all these calls: on a busy machine maybe twice."""
    told: set[str] = set()
    while told < expected:
        told.add((await receiver.told("call:cancelled"))["callId"])
    assert told == expected
    for call in expected:
        await is_delivered(calls, call)
        assert await calls.status(call) == "cancelled"


async def test_ten_clients_of_python_emit_and_disconnect_at_once_and_are_heard(
    stack: Stack, calls: Calls, ids: Ids
) -> None:
    made = await ringing(calls, ids)
    async with (
        phone(stack.websocket, ids.receiver, stack.project) as receiver,
        AsyncExitStack() as apps,
    ):
        callers = {
            await apps.enter_async_context(signed_in("python", stack, caller)): call
            for caller, call in made.items()
        }
        for caller in callers:
            await caller.connected()
        await asyncio.gather(
            *(
                caller.emit_and_disconnect("call:cancel", callId=call)
                for caller, call in callers.items()
            )
        )
        await are_cancelled(calls, receiver, set(made.values()))


@pytest.mark.parametrize("version", [2, 3, 4])
async def test_ten_clients_of_javascript_emit_and_disconnect_in_one_tick_and_are_heard(
    stack: Stack, calls: Calls, ids: Ids, node_missing: str | None, version: int
) -> None:
    if node_missing:
        pytest.skip(f"Node's Socket.IO clients can't run: {node_missing}")
    made = await ringing(calls, ids)
    shown = "query" if version == 2 else "auth"
    clients = [
        {
            "options": {"transports": ["websocket"], shown: {"token": stack.token(caller)}},
            "event": "call:cancel",
            "data": {"callId": call},
        }
        for caller, call in made.items()
    ]
    async with phone(stack.websocket, ids.receiver, stack.project) as receiver:
        farewell = await asyncio.create_subprocess_exec(
            *("node", str(FAREWELL), str(node.MODULES / "package.json")),
            *(f"socket.io-client-{version}", stack.socketio, json.dumps(clients)),
        )
        try:
            await are_cancelled(calls, receiver, set(made.values()))
            assert await asyncio.wait_for(farewell.wait(), PATIENCE_SECONDS) == 0
        finally:
            if farewell.returncode is None:
                farewell.kill()
                await farewell.wait()


async def cancels(calls: Calls, caller: JsonPhone, call: str, ids: Ids) -> None:
    """A call rings, is cancelled, and whoever is to be told of it has been."""
    await calls.ring(call, ids.caller, ids.receiver)
    assert (await caller.emit("call:cancel", callId=call))["ok"]
    await is_delivered(calls, call)


async def acts_for_nobody(calls: Calls, client: Attacker, call: str, ids: Ids) -> None:
    """What the receiver's client sends is refused and changes nothing."""
    await calls.ring(call, ids.caller, ids.receiver)
    data = {"callId": call}
    assert await client.verdict("call:reject", data) == FORBIDDEN | data
    await client.socket.send(f"42{json.dumps(['call:reject', data])}")
    assert await client.next() == f"42{_compact(['call:error', _refused(call)])}"
    device = {"token": ids.token, "platform": "web"}
    assert await client.verdict("device:register", device) == FORBIDDEN
    assert await calls.status(call) == "ringing"


@pytest.mark.parametrize(("wire", "goodbye"), GOODBYES)
async def test_who_says_goodbye_on_a_socket_that_stays_open_hears_nothing_and_acts_no_more(
    stack: Stack, calls: Calls, ids: Ids, wire: Wire, goodbye: str
) -> None:
    async with (
        phone(stack.websocket, ids.caller, stack.project) as caller,
        phone(stack.websocket, ids.receiver, stack.project) as other,
        attacker(stack, wire, stack.token(ids.receiver)) as client,
    ):
        await cancels(calls, caller, f"{ids.call}_1", ids)
        assert f"{ids.call}_1" in await client.told()
        assert await client.answer(goodbye) == "6"
        await cancels(calls, caller, f"{ids.call}_2", ids)
        assert await client.hears_nothing()
        await acts_for_nobody(calls, client, f"{ids.call}_3", ids)
        assert await client.hears_nothing()
        for number in (1, 2):
            assert (await other.told("call:cancelled"))["callId"] == f"{ids.call}_{number}"
        assert await has_no_more(other)


@pytest.mark.parametrize("goodbye", ["41", "41/,"])
async def test_who_comes_back_after_a_goodbye_on_the_same_socket_is_told_again(
    stack: Stack, calls: Calls, ids: Ids, goodbye: str
) -> None:
    token = stack.token(ids.receiver)
    async with (
        phone(stack.websocket, ids.caller, stack.project) as caller,
        attacker(stack, Wire.EIO4, token) as client,
    ):
        assert await client.answer(goodbye) == "6"
        await cancels(calls, caller, f"{ids.call}_1", ids)
        assert await client.hears_nothing()
        assert (await client.answer(f"40{json.dumps({'token': token})}")).startswith('40{"sid":')
        assert f"{ids.call}_1" in await client.told()  # what it has missed
        await cancels(calls, caller, f"{ids.call}_2", ids)
        assert f"{ids.call}_2" in await client.told()
        await calls.ring(f"{ids.call}_3", ids.caller, ids.receiver)
        verdict = await client.verdict("call:reject", {"callId": f"{ids.call}_3"})
        assert verdict["outcome"] == "rejected"
        assert await client.hears_nothing()


@pytest.mark.parametrize("wire", [Wire.EIO3, Wire.EIO4])
async def test_who_asks_for_the_close_of_the_socket_gets_it_and_is_heard_before(
    stack: Stack, calls: Calls, ids: Ids, wire: Wire
) -> None:
    await calls.ring(ids.call, ids.caller, ids.receiver)
    async with (
        phone(stack.websocket, ids.caller, stack.project) as caller,
        attacker(stack, wire, stack.token(ids.receiver)) as client,
    ):
        await client.socket.send(f"42{json.dumps(['call:reject', {'callId': ids.call}])}")
        await client.socket.send("1")
        async with asyncio.timeout(PATIENCE_SECONDS):
            await client.socket.wait_closed()
        assert (await caller.told("call:rejected"))["callId"] == ids.call
    await is_forgotten(stack, ids.receiver)


@pytest.mark.parametrize("shown", ["nonsense", "another user's"])
async def test_who_is_refused_after_being_let_in_hears_nothing_and_acts_no_more(
    stack: Stack, calls: Calls, ids: Ids, shown: str
) -> None:
    said = {"token": stack.token(ids.caller), "userId": ids.receiver}
    packet = json.dumps({"token": shown} if shown == "nonsense" else said)
    async with (
        phone(stack.websocket, ids.caller, stack.project) as caller,
        phone(stack.websocket, ids.receiver, stack.project) as other,
        attacker(stack, Wire.EIO4, stack.token(ids.receiver)) as client,
    ):
        await cancels(calls, caller, f"{ids.call}_1", ids)
        assert f"{ids.call}_1" in await client.told()
        assert (await client.answer(f"40{packet}")).startswith("44{")
        await cancels(calls, caller, f"{ids.call}_2", ids)
        assert await client.hears_nothing()
        await acts_for_nobody(calls, client, f"{ids.call}_3", ids)
        for number in (1, 2):
            assert (await other.told("call:cancelled"))["callId"] == f"{ids.call}_{number}"


async def test_a_goodbye_ends_no_other_connection_of_the_user(
    stack: Stack, calls: Calls, ids: Ids
) -> None:
    token = stack.token(ids.receiver)
    async with (
        phone(stack.websocket, ids.caller, stack.project) as caller,
        attacker(stack, Wire.EIO4, token) as stays,
        attacker(stack, Wire.EIO4, token) as leaves,
    ):
        assert await leaves.answer("41") == "6"
        await cancels(calls, caller, ids.call, ids)
        assert ids.call in await stays.told()
        assert await leaves.hears_nothing()
    await is_forgotten(stack, ids.receiver)


def _refused(call: str) -> dict[str, object]:
    ok_and_outcome = {name: FORBIDDEN[name] for name in ("ok", "outcome")}
    return {**ok_and_outcome, "callId": call, **FORBIDDEN}


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
