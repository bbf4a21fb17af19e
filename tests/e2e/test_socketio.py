"""Unmodified Socket.IO clients of four kinds, on the local stack: connecting, signals, refusals."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from infra.client.calls import Calls
from infra.client.phone import phone
from infra.emulators.auth.tokens import unsigned_token
from infra.local.stack import Stack
from tests.e2e.socketio_support import (
    DELAY_SECONDS,
    close_by_gateway,
    connections_of,
    has_no_more,
    is_delivered,
    is_forgotten,
    is_usable,
)
from tests.support.relay import relay
from tests.support.socketio import SocketIoApp, signed_in, socketio_client
from tests.support.stacks import Ids


async def test_a_client_connects_by_its_default_path_and_by_the_stage(
    kind: str, stack: Stack, ids: Ids
) -> None:
    ways: list[dict[str, Any]] = [
        {},
        {"path": "/dev"},
        {"path": "/dev/"},
        {"path": "/socket.io", "in_query": True},
    ]
    async with AsyncExitStack() as phones:
        connecting = [
            await phones.enter_async_context(signed_in(kind, stack, ids.caller, **way))
            for way in ways
        ]
        for connected in connecting:
            await connected.connected()
            verdict = await connected.emit("device:unregister", token=ids.token)
            assert verdict == {"ok": True, "outcome": "unregistered"}


async def test_a_client_that_adds_no_slash_to_its_path_connects(
    node_missing: str | None, stack: Stack, ids: Ids
) -> None:
    if node_missing:
        pytest.skip(f"Node's Socket.IO clients can't run: {node_missing}")
    options = {"addTrailingSlash": False}
    for path in ("/dev", "/socket.io"):
        async with (
            relay(stack.websocket) as way,
            socketio_client(
                "js-4",
                way.url,
                token=unsigned_token(ids.caller, stack.project),
                path=path,
                node_options=options,
            ) as client,
        ):
            await client.connected()
            assert way.handshakes[0].startswith(f"GET {path}?")


async def test_a_client_that_disconnects_is_forgotten(kind: str, stack: Stack, ids: Ids) -> None:
    async with signed_in(kind, stack, ids.caller) as client:
        await client.connected()
        assert len(await connections_of(stack, ids.caller)) == 1
        await client.disconnect()
        await is_forgotten(stack, ids.caller)


@asynccontextmanager
async def both_signed_in(
    kind: str, stack: Stack, ids: Ids
) -> AsyncIterator[tuple[SocketIoApp, SocketIoApp]]:
    """The caller and the receiver, both let in."""
    async with (
        signed_in(kind, stack, ids.caller) as caller,
        signed_in(kind, stack, ids.receiver) as receiver,
    ):
        await caller.connected()
        await receiver.connected()
        yield caller, receiver


async def test_a_cancel_with_or_without_a_callback_stops_the_other_phone(
    kind: str, stack: Stack, calls: Calls, ids: Ids
) -> None:
    async with both_signed_in(kind, stack, ids) as (caller, receiver):
        await calls.ring(ids.call, ids.caller, ids.receiver)
        verdict = await caller.emit("call:cancel", callId=ids.call, reason="Caller ended call")
        assert verdict == {"ok": True, "outcome": "cancelled", "callId": ids.call}
        told = await receiver.told("call:cancelled")
        assert isinstance(told.pop("timestamp"), int)
        assert told == {
            "callId": ids.call,
            "reason": "Caller ended call",
            "cause": "caller_cancelled",
        }

        second = f"{ids.call}_2"
        await calls.ring(second, ids.caller, ids.receiver)
        await caller.emit_without_ack("call:cancel", callId=second)
        told = await receiver.told("call:cancelled")
        assert (told["callId"], told["reason"]) == (second, "Caller cancelled")

        await is_delivered(calls, ids.call)
        await is_delivered(calls, second)
        assert await has_no_more(receiver)
        assert await has_no_more(caller)
        assert (caller.count("connected"), receiver.count("connected")) == (1, 1)


async def test_the_other_party_is_told_of_a_rejection_of_an_answer_and_of_the_end(
    kind: str, stack: Stack, calls: Calls, ids: Ids
) -> None:
    async with both_signed_in(kind, stack, ids) as (caller, receiver):
        for signal, event, outcome in (
            ("call:reject", "call:rejected", "rejected"),
            ("call:accept", "call:accepted", "accepted"),
        ):
            await calls.ring(ids.call, ids.caller, ids.receiver)
            verdict = await receiver.emit(signal, callId=ids.call)
            assert verdict == {"ok": True, "outcome": outcome, "callId": ids.call}
            assert (await caller.told(event))["callId"] == ids.call
            await is_delivered(calls, ids.call)
        await ends(caller, receiver, calls, ids)
        await calls.ring(ids.call, ids.caller, ids.receiver)
        assert (await receiver.emit("call:accept", callId=ids.call))["outcome"] == "accepted"
        await caller.told("call:accepted")
        await is_delivered(calls, ids.call)
        await ends(receiver, caller, calls, ids)
        assert await has_no_more(caller)
        assert await has_no_more(receiver)


async def ends(one: SocketIoApp, other: SocketIoApp, calls: Calls, ids: Ids) -> None:
    """One party ends an accepted call, and the other one is told."""
    verdict = await one.emit("call:end", callId=ids.call)
    assert verdict == {"ok": True, "outcome": "ended", "callId": ids.call}
    told = await other.told("call:ended")
    assert (told["callId"], told["reason"], told["cause"]) == (ids.call, "Call ended", "ended")
    assert type(told["timestamp"]) is int
    await is_delivered(calls, ids.call)


async def test_what_is_refused_comes_back_to_the_callback_or_else_as_an_event(
    kind: str, stack: Stack, ids: Ids
) -> None:
    unknown = {"ok": False, "outcome": "not_found", "callId": ids.call}
    async with signed_in(kind, stack, ids.caller) as caller:
        await caller.connected()
        assert await caller.emit("call:cancel", callId=ids.call) == unknown
        await caller.emit_without_ack("call:cancel", callId=ids.call)
        assert await caller.told("call:error") == unknown
        invalid = await caller.emit("call:cancel")
        assert (invalid["outcome"], invalid["field"]) == ("invalid", "callId")
        await caller.emit_without_ack("call:cancel")
        assert await caller.told("call:error") == invalid
        assert await has_no_more(caller)


async def test_a_client_without_a_good_token_is_told_why_and_leaves_it_at_that(
    kind: str, stack: Stack, ids: Ids
) -> None:
    good = unsigned_token(ids.caller, stack.project)
    expired = unsigned_token(ids.caller, stack.project, lifetime_seconds=-3600)
    cases = [
        (None, ids.caller, False, "the token is missing"),
        ("nonsense", ids.caller, False, "the token is not valid"),
        ("nonsense", ids.caller, True, "the token is not valid"),
        (expired, ids.caller, False, "the token has expired"),
        (good, ids.receiver, False, "userId is not the token's"),
        (good, ids.receiver, True, "userId is not the token's"),
    ]
    async with AsyncExitStack() as parts:
        refused = []
        for token, user, in_query, message in cases:
            way = await parts.enter_async_context(relay(stack.websocket))
            client = await parts.enter_async_context(
                socketio_client(
                    kind,
                    way.url,
                    token=token,
                    user=user,
                    in_query=in_query,
                    delay_seconds=DELAY_SECONDS,
                )
            )
            refused.append((client, way, message))
        for client, _, message in refused:
            assert await client.refused() == message

        # In the time that a client takes to come back twice, none of them has tried to.
        async with signed_in(kind, stack, ids.caller, delay_seconds=DELAY_SECONDS) as other:
            await other.connected()
            for _ in range(2):
                await close_by_gateway(stack, ids.caller)
                await other.connected()
        for client, way, message in refused:
            assert len(way.handshakes) == 1, message
            assert client.count("refused") == 1, message
            assert client.count("connected") == client.count("reconnecting") == 0, message


async def test_another_namespace_is_refused_and_the_root_goes_on(
    kind: str, stack: Stack, ids: Ids
) -> None:
    async with (
        relay(stack.websocket) as way,
        socketio_client(
            kind,
            way.url,
            token=unsigned_token(ids.caller, stack.project),
            user=ids.caller,
            namespaces=("/", "/admin"),
        ) as client,
    ):
        await client.connected()
        assert await client.refused("/admin") == "Invalid namespace"
        await is_usable(stack, client, ids.caller)
        assert (client.count("connected"), client.count("refused")) == (1, 1)
        assert len(way.handshakes) == 1


async def test_all_phones_of_a_user_are_told_once_whatever_they_speak(
    kinds: tuple[str, ...], stack: Stack, calls: Calls, ids: Ids
) -> None:
    async with (
        phone(stack.websocket, ids.caller, stack.project) as caller,
        phone(stack.websocket, ids.receiver, stack.project) as json_phone,
        AsyncExitStack() as phones,
    ):
        clients = [
            await phones.enter_async_context(signed_in(kind, stack, ids.receiver)) for kind in kinds
        ]
        for client in clients:
            await client.connected()
        await calls.ring(ids.call, ids.caller, ids.receiver)
        assert (await caller.emit("call:cancel", callId=ids.call))["ok"]
        told = await json_phone.told("call:cancelled")
        del told["at"]
        for client in clients:
            assert await client.told("call:cancelled") == told
        await is_delivered(calls, ids.call)
        assert await has_no_more(json_phone)
        for client in clients:
            assert await has_no_more(client)

        for number, client in enumerate(clients):
            call = f"{ids.call}_{number}"
            await calls.ring(call, ids.receiver, ids.caller)
            assert (await client.emit("call:cancel", callId=call))["outcome"] == "cancelled"
            assert (await caller.told("call:cancelled"))["callId"] == call
        assert await has_no_more(caller)
