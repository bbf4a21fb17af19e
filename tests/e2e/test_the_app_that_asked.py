"""The app that asked for Unring, with nothing changed but its URL: its whole calls, over its socket
and its backend's REST API, with the settings that docs/adopting.md has for it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from infra.local.stack import Options, Stack, running
from tests.e2e.the_app import Connected, Parties, World, settings_of_the_page
from tests.support.agora_backend import AgoraBackend
from tests.support.httprelay import http_relay
from tests.support.stacks import Ids, pushes_to

CANCEL_REASONS = (
    "Caller ended call",
    "Caller cancelled",
    "Caller timeout (no answer)",
    "No answer",
)


@pytest.fixture(scope="module")
async def backend() -> AsyncIterator[AgoraBackend]:
    async with AgoraBackend() as backend:
        yield backend


@pytest.fixture(scope="module")
async def agora(
    backend: AgoraBackend, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    settings, logs = settings_of_the_page(backend), tmp_path_factory.mktemp("logs")
    async with running(Options(port=0, settings=settings, logs=logs)) as stack:
        backend.serve(stack)
        yield stack


@pytest.fixture(
    params=[
        pytest.param(("js-4", True), id="js-4"),
        pytest.param(("js-3", True), id="js-3", marks=pytest.mark.thorough),
        pytest.param(("js-4", False), id="no WebSocket gets through", marks=pytest.mark.thorough),
    ]
)
async def world(
    request: pytest.FixtureRequest, agora: Stack, backend: AgoraBackend, node_missing: str | None
) -> AsyncIterator[World]:
    if node_missing:
        pytest.skip(f"Node's Socket.IO clients can't run: {node_missing}")
    kind, websockets = request.param
    async with http_relay(agora.socketio, websockets=websockets) as way:
        yield World(agora, backend, way, kind)


@pytest.fixture
async def parties(world: World, ids: Ids) -> AsyncIterator[Parties]:
    async with _meeting(world, ids) as parties:
        yield parties


@asynccontextmanager
async def _meeting(world: World, ids: Ids) -> AsyncIterator[Parties]:
    his, hers = await world.installed(ids.caller), await world.installed(ids.receiver)
    async with world.connected(his) as caller, world.connected(hers) as receiver:
        yield Parties(world, caller, receiver)


@pytest.fixture(params=[pytest.param(False, id="its own calls"), pytest.param(True, id="shared")])
def keeping(request: pytest.FixtureRequest, backend: AgoraBackend) -> Iterator[None]:
    """A test that uses it runs with a backend that keeps its calls to itself, as the app's does,
    and with one that has them in the Firestore that Unring has too."""
    backend.shares_calls = request.param
    yield
    backend.shares_calls = False


@pytest.mark.usefixtures("keeping")
async def test_a_call_is_cancelled_for_every_reason_that_the_app_has(parties: Parties) -> None:
    his, hers = parties.his, parties.hers
    for number, reason in enumerate(CANCEL_REASONS):
        call = await parties.ring()
        await his.does("cancel", call, late=bool(number % 2), reason=reason)
        await hers.reads("call:cancelled", callId=call, reason=reason)
        assert await hers.is_pushed("call_cancelled", call) == {"callerId": his.user}
        await parties.hear_no_more(call)
        assert await hers.sees(call) == "CANCELLED"
    pushed = [each["data"] for each in await pushes_to(hers.stack, hers.device)]
    # Unring pushes no ring beside the backend's, and a cancel that comes by two ways may be pushed
    # twice.
    assert sum(data["type"] == "incoming_call" for data in pushed) == len(CANCEL_REASONS)
    assert {data["type"] for data in pushed} == {"incoming_call", "call_cancelled"}
    assert await pushes_to(his.stack, his.device, 0) == []


@pytest.mark.usefixtures("keeping")
async def test_a_call_is_accepted_upgraded_to_video_and_ended_by_either_party(
    parties: Parties,
) -> None:
    his, hers = parties.his, parties.hers
    for ends, hears in ((his, hers), (hers, his)):
        call = await parties.ring()
        await hers.does("accept", call, late=ends is hers)
        await his.reads("call:accepted", callId=call)
        assert await his.sees(call) == "ONGOING"
        await _upgrades(call, hears, ends)
        await ends.does("end", call)
        await hears.reads("call:ended", callId=call, endedBy=ends.user)
        await parties.hear_no_more(call)
        assert await hears.sees(call) == "ENDED"


async def _upgrades(call: str, asks: Connected, answers: Connected) -> None:
    parties = {"receiverId": answers.user, "senderId": asks.user, "timestamp": 1700000000000}
    asked = await asks.app.emit("call:upgrade", callId=call, **parties)
    assert asked["success"]
    assert await answers.app.told("call:upgrade:request") == {"callId": call, **parties}
    said = {"callId": call, **parties, "accepted": True, "reason": "User accepted"}
    answered = await answers.app.emit("call:upgrade:response", **said)
    assert answered["success"]
    assert await asks.app.told("call:upgrade:response") == said


@pytest.mark.usefixtures("keeping")
async def test_a_call_is_rejected(parties: Parties) -> None:
    his, hers = parties.his, parties.hers
    call = await parties.ring("VIDEO")
    await hers.does("reject", call, reason="User declined")
    await his.reads("call:rejected", callId=call, reason="User declined")
    pushed = await his.is_pushed("call_rejected", call)
    assert pushed == {"callerId": his.user, "reason": "User declined"}
    await parties.hear_no_more(call)
    assert await his.sees(call) == "REJECTED"


@pytest.mark.thorough
async def test_a_call_that_nobody_answers_times_out(world: World, ids: Ids) -> None:
    async with _ringing_for(5, world.stack), _meeting(world, ids) as parties:
        call = await parties.ring()
        await parties.his.reads("call:timeout", callId=call, reason="No answer")
        await parties.hers.reads("call:cancelled", callId=call, reason="Timeout")
        pushed = await parties.hers.is_pushed("call_cancelled", call)
        assert pushed == {"callerId": parties.his.user, "cause": "timeout"}
        await parties.hear_no_more(call)


@asynccontextmanager
async def _ringing_for(seconds: int, stack: Stack) -> AsyncIterator[None]:
    """The functions that may have a call ring, as who calls may still be polling, do so for as many
    seconds: the app says nothing of that, and 30 are too long for a test."""
    functions = [stack.processes[name] for name in ("gateway", "api")]
    shorter = {**stack.values, "RING_SECONDS": str(seconds)}
    await asyncio.gather(*(each.replace(shorter) for each in functions))
    try:
        yield
    finally:
        await asyncio.gather(*(each.replace(stack.values) for each in functions))


async def test_whoever_calls_somebody_in_a_call_hears_that_she_is_busy(
    parties: Parties, world: World, ids: Ids
) -> None:
    call = await parties.ring()
    await parties.hers.does("accept", call)
    await parties.his.reads("call:accepted", callId=call)
    async with world.connected(await world.installed(f"{ids.caller}_2")) as other:
        answer = await other.app.emit(
            "call:initiate",
            receiverId=parties.hers.user,
            callId=f"{call}2",
            callType="AUDIO",
            channelName="room",
            agoraToken="007eJx",
        )
        assert (answer["success"], answer["busy"], type(answer["error"])) == (False, True, str)
        await other.reads("call:busy", callId=f"{call}2")
    await parties.hear_no_more(call)


async def test_a_receiver_who_holds_no_socket_hears_of_the_cancel_by_fcm(
    world: World, ids: Ids
) -> None:
    his, hers = await world.installed(ids.caller), await world.installed(ids.receiver)
    async with world.connected(his) as caller:
        call = (await caller.initiate(hers))["callId"]
        await caller.does("cancel", call, reason="Caller ended call")
        assert await hers.is_pushed("call_cancelled", call) == {"callerId": his.user}


@pytest.mark.thorough
async def test_a_receiver_whose_socket_opens_with_the_ringing_screen_hears_of_the_cancel(
    world: World, ids: Ids
) -> None:
    his, hers = await world.installed(ids.caller), await world.installed(ids.receiver)
    async with world.connected(his) as caller:
        said = await caller.initiate(hers)
        call = said["callId"]
        async with world.connected(hers) as receiver:
            await receiver.reads("call:incoming", **said)
            await caller.does("cancel", call, reason="No answer")
            await receiver.reads("call:cancelled", callId=call, reason="No answer")
            await receiver.is_pushed("call_cancelled", call)


async def test_a_receiver_who_connects_after_the_cancel_hears_of_it(world: World, ids: Ids) -> None:
    his, hers = await world.installed(ids.caller), await world.installed(ids.receiver)
    async with world.connected(his) as caller:
        call = (await caller.initiate(hers))["callId"]
        await caller.does("cancel", call, reason="Caller cancelled")
        await hers.is_pushed("call_cancelled", call)
        async with world.connected(hers) as receiver:
            await receiver.reads("call:cancelled", callId=call, reason="Caller cancelled")


async def test_an_accept_that_comes_after_the_cancel_is_told_to_nobody(parties: Parties) -> None:
    """Its backend accepts whatever the call's status is."""
    call = await parties.ring()
    await parties.his.does("cancel", call, reason="Caller ended call")
    await parties.hers.reads("call:cancelled", callId=call)
    await parties.hers.does("accept", call)
    assert (await parties.hers.app.told("call:error"))["outcome"] == "already_cancelled"
    assert parties.world.backend.emits[-1]["reason"] == "already_cancelled"
    await parties.hear_no_more(call)


async def test_its_backend_emits_by_the_same_host(parties: Parties) -> None:
    backend, his, hers = parties.world.backend, parties.his, parties.hers
    assert await backend.health() == 200
    cancelled, accepted = await parties.ring(), await parties.ring()
    done = {"success": True, "emitted": True}
    # It has forgotten the prefix, which its server has found by itself.
    said = {"callId": cancelled.removeprefix("CALL_"), "reason": "Caller timeout (no answer)"}
    refused = await backend.emit("call-cancelled", "wrong", receiverId=hers.user, **said)
    assert (refused["success"], refused["emitted"]) == (False, False)
    assert await backend.emit("call-cancelled", receiverId=hers.user, **said) == done
    await hers.reads("call:cancelled", callId=cancelled, reason=said["reason"])
    await hers.is_pushed("call_cancelled", cancelled)
    said = {"callId": accepted, "callerId": his.user, "receiverId": hers.user}
    assert await backend.emit("call-accepted", **said) == done
    await his.reads("call:accepted", callId=accepted)
    await parties.hear_no_more(accepted)


async def test_a_token_that_is_not_the_users_is_told_by_a_connect_error(
    world: World, ids: Ids
) -> None:
    at = await world.installed(ids.caller)
    wrong = {
        "the token is not valid": ("1|guess", ids.caller),
        "userId is not the token's": (at.token, ids.receiver),
    }
    async with AsyncExitStack() as clients:
        for message, (token, user) in wrong.items():
            app = await clients.enter_async_context(world.client(token, user))
            assert await app.refused() == message
    # A good one gets in by the same way.
    async with world.connected(at):
        pass
