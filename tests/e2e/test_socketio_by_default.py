"""Unmodified Socket.IO clients with their default options, on the local stack: they begin by
polling and go on by WebSocket, or poll on where no WebSocket gets through."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from infra.client.calls import Calls
from infra.client.phone import phone
from infra.local.stack import Stack
from tests.e2e.socketio_support import (
    DELAY_SECONDS,
    close_by_gateway,
    has_no_more,
    is_delivered,
    is_forgotten,
    is_usable,
)
from tests.support.httprelay import HttpRelay, http_relay
from tests.support.socketio import BROWSER, NODE_KINDS, ByDefault, signed_in
from tests.support.stacks import Ids

# Those that keep what they emit until they are connected.
KEEPERS = (*NODE_KINDS, pytest.param(BROWSER, marks=pytest.mark.thorough))


NARROW = pytest.param(False, marks=pytest.mark.thorough, id="no WebSocket gets through")


@pytest.fixture(params=[pytest.param(True, id="all gets through"), NARROW])
async def way(request: pytest.FixtureRequest, stack: Stack) -> AsyncIterator[HttpRelay]:
    """A test that uses it runs on the way to the stack that most have, and on a narrow one."""
    async with http_relay(stack.socketio, websockets=request.param) as relayed:
        yield relayed


async def test_a_client_polls_first_and_goes_on_by_websocket(
    apps: ByDefault, stack: Stack, ids: Ids
) -> None:
    async with (
        http_relay(stack.socketio) as way,
        apps.signed_in(stack, ids.caller, way=way.url) as client,
    ):
        await client.connected()
        await client.upgraded()
        assert "transport=polling" in way.requests[0]
        assert sum("transport=websocket" in line for line in way.requests) == way.sessions() == 1
        requests = len(way.requests)
        await is_usable(stack, client, ids.caller)
        assert len(way.requests) == requests
        assert (client.count("connected"), client.count("disconnected")) == (1, 0)


async def test_a_client_without_websocket_polls_on(apps: ByDefault, stack: Stack, ids: Ids) -> None:
    async with (
        http_relay(stack.socketio, websockets=False) as way,
        apps.signed_in(stack, ids.caller, way=way.url) as client,
    ):
        await client.connected()
        await client.not_upgraded()
        for _ in range(2):
            await is_usable(stack, client, ids.caller)
        assert way.sessions() == 1
        assert (client.count("connected"), client.count("disconnected")) == (1, 0)


async def test_a_cancel_with_or_without_a_callback_stops_the_other_phone(
    apps: ByDefault, stack: Stack, calls: Calls, ids: Ids, way: HttpRelay
) -> None:
    second = f"{ids.call}_2"
    await calls.ring(ids.call, ids.caller, ids.receiver)
    await calls.ring(second, ids.caller, ids.receiver)
    async with (
        apps.signed_in(stack, ids.receiver, way=way.url) as receiver,
        apps.signed_in(stack, ids.caller, way=way.url) as caller,
    ):
        await receiver.connected()
        await caller.connected()
        # At once, so that it goes while they upgrade.
        verdict = await caller.emit("call:cancel", callId=ids.call, reason="Caller ended call")
        assert verdict == {"ok": True, "outcome": "cancelled", "callId": ids.call}
        told = await receiver.told("call:cancelled")
        assert isinstance(told.pop("timestamp"), int)
        assert told == {
            "callId": ids.call,
            "reason": "Caller ended call",
            "cause": "caller_cancelled",
        }
        for client in (caller, receiver):
            await (client.upgraded() if way.websockets else client.not_upgraded())
        await caller.emit_without_ack("call:cancel", callId=second)
        assert (await receiver.told("call:cancelled"))["callId"] == second

        await is_delivered(calls, ids.call)
        await is_delivered(calls, second)
        assert await has_no_more(receiver)
        assert await has_no_more(caller)


@pytest.mark.thorough
async def test_what_is_refused_comes_back_to_the_callback_or_else_as_an_event(
    apps: ByDefault, stack: Stack, ids: Ids, way: HttpRelay
) -> None:
    unknown = {"ok": False, "outcome": "not_found", "callId": ids.call}
    async with apps.signed_in(stack, ids.caller, way=way.url) as caller:
        await caller.connected()
        assert await caller.emit("call:cancel", callId=ids.call) == unknown
        await caller.emit_without_ack("call:cancel", callId=ids.call)
        assert await caller.told("call:error") == unknown
        assert await has_no_more(caller)


@pytest.mark.thorough
async def test_a_client_without_a_good_token_is_told_why_and_leaves_it_at_that(
    apps: ByDefault, stack: Stack, ids: Ids, way: HttpRelay
) -> None:
    cases = [
        (None, ids.caller, "the token is missing"),
        ("nonsense", ids.caller, "the token is not valid"),
        (stack.token(ids.caller, -3600), ids.caller, "the token has expired"),
        (stack.token(ids.caller), ids.receiver, "userId is not the token's"),
    ]
    async with AsyncExitStack() as parts:
        refused = []
        for token, user, message in cases:
            client = await parts.enter_async_context(
                apps.client(way.url, token=token, user=user, delay_seconds=DELAY_SECONDS)
            )
            refused.append((client, message))
        for client, message in refused:
            assert await client.refused() == message

        await _time_to_come_back_twice(stack, ids.caller)
        assert way.sessions() == len(refused)
        for client, message in refused:
            assert client.count("refused") == 1, message
            assert client.count("connected") == client.count("reconnecting") == 0, message


async def _time_to_come_back_twice(stack: Stack, user: str) -> None:
    """Returns once a client that is allowed to has done so."""
    async with signed_in("python", stack, user, delay_seconds=DELAY_SECONDS) as other:
        await other.connected()
        for _ in range(2):
            await close_by_gateway(stack, user)
            await other.connected()


@pytest.mark.parametrize("apps", KEEPERS, indirect=True)
async def test_what_is_emitted_before_a_client_is_connected_is_carried_out_once(
    apps: ByDefault, stack: Stack, calls: Calls, ids: Ids, way: HttpRelay
) -> None:
    rings = [f"{ids.call}_{number}" for number in range(3)]
    for call in rings:
        await calls.ring(call, ids.caller, ids.receiver)
    emits = [("call:cancel", {"callId": call}) for call in rings]
    async with (
        phone(stack.websocket, ids.receiver, stack.project) as receiver,
        apps.signed_in(stack, ids.caller, way=way.url, emits=emits) as caller,
    ):
        await caller.connected()
        assert await caller.verdicts() == [
            {"ok": True, "outcome": "cancelled", "callId": call} for call in rings
        ]
        told = [(await receiver.told("call:cancelled"))["callId"] for _ in rings]
        assert sorted(told) == rings
        for call in rings:
            await is_delivered(calls, call)
        assert await has_no_more(receiver)
        assert await has_no_more(caller)
        assert caller.count("ack") == len(rings) + 1


async def test_a_client_that_cancels_and_leaves_at_once_is_heard_and_forgotten(
    apps: ByDefault, stack: Stack, calls: Calls, ids: Ids, way: HttpRelay
) -> None:
    await calls.ring(ids.call, ids.caller, ids.receiver)
    async with (
        phone(stack.websocket, ids.receiver, stack.project) as receiver,
        apps.signed_in(stack, ids.caller, way=way.url) as caller,
    ):
        await caller.connected()
        await caller.emit_and_disconnect("call:cancel", callId=ids.call)
        assert (await receiver.told("call:cancelled"))["callId"] == ids.call
        await is_forgotten(stack, ids.caller)
        assert await has_no_more(receiver)


@pytest.mark.thorough
async def test_a_client_that_disconnects_later_is_forgotten(
    apps: ByDefault, stack: Stack, ids: Ids, way: HttpRelay
) -> None:
    async with apps.signed_in(stack, ids.caller, way=way.url) as client:
        await client.connected()
        await (client.upgraded() if way.websockets else client.not_upgraded())
        await client.disconnect()
        await is_forgotten(stack, ids.caller)


@pytest.mark.parametrize("apps", [BROWSER], indirect=True)
@pytest.mark.thorough
async def test_a_page_of_an_origin_that_is_not_allowed_gets_nowhere(
    apps: ByDefault, stack: Stack, ids: Ids
) -> None:
    async with (
        http_relay(stack.socketio) as way,
        apps.signed_in(
            stack, ids.caller, way=way.url, page_origin="http://other.example"
        ) as client,
    ):
        assert await client.unreachable() == "xhr poll error"
        assert all("sid=" not in line for line in way.requests)
        assert client.count("connected") == client.count("opened") == 0
