"""Calls that their callers initiate: the protocol of the app that asked for Unring, event by event,
by unmodified clients; who rings, and when nobody does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from infra.client.calls import Calls
from infra.client.phone import JsonPhone, json_phone
from infra.local.stack import Stack
from tests.e2e.socketio_support import has_no_more, is_delivered
from tests.support.agora import Phone, agora_phone, speaking
from tests.support.stacks import Ids, pushes_to

KINDS = ("js-4", "python")
# What the app says of a call beside who is called.
SAID = {"callType": "AUDIO", "channelName": "room", "agoraToken": "007eJx"}
CANCEL_REASONS = (
    "Caller ended call",
    "Caller cancelled",
    "Caller timeout (no answer)",
    "No answer",
)


@pytest.fixture(scope="module")
async def agora(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    settings = {"IDENTITY": "introspection", "BUSY": "in-call"}
    async with speaking("agora-app", tmp_path_factory, **settings) as stack:
        yield stack


@dataclass(frozen=True)
class Parties:
    """A caller and a receiver, whom nobody else knows."""

    his: Phone
    hers: Phone

    async def initiate(self, call: str) -> dict[str, Any]:
        """Emits what the app does, and no more; gives the ack."""
        return await self.his.app.emit(
            "call:initiate", receiverId=self.hers.user, callId=call, **SAID
        )

    async def ring(self, call: str) -> None:
        """Has a call ring, by the socket and by FCM."""
        answer = await self.initiate(call)
        assert (answer["success"], answer["callId"]) == (True, call)
        caller = {"callerId": self.his.user, "callerName": f"User {self.his.user}"}
        await self.hers.reads("call:incoming", callId=call, **caller, **SAID)
        # Waited for, as a push that comes after the ring's end is dropped.
        pushed = await self.hers.is_pushed("incoming_call", call)
        assert all(type(value) is str for value in pushed.values())
        renamed = {**SAID, "channelId": SAID["channelName"]}
        del renamed["channelName"]
        assert {**caller, **renamed}.items() <= pushed.items()
        assert pushed["timestamp"].isdigit()
        # What ends before that is told once more, in case that the ring came after it.
        await is_delivered(Calls(self.his.stack.firestore, self.his.stack.project), call)


@asynccontextmanager
async def parties_of(kind: str, stack: Stack, unique: str) -> AsyncIterator[Parties]:
    async with (
        agora_phone(kind, stack, f"USR_{unique}_HIS") as his,
        agora_phone(kind, stack, f"USR_{unique}_HERS") as hers,
    ):
        yield Parties(his, hers)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, node_missing: str | None) -> str:
    if request.param != "python" and node_missing:
        pytest.skip(f"Node's Socket.IO clients can't run: {node_missing}")
    return str(request.param)


@pytest.fixture
async def parties(kind: str, agora: Stack, ids: Ids) -> AsyncIterator[Parties]:
    async with parties_of(kind, agora, ids.call) as parties:
        yield parties


@pytest.fixture
def agora_calls(agora: Stack) -> Calls:
    return Calls(agora.firestore, agora.project)


async def test_a_call_is_accepted_and_ended_by_either_party(
    parties: Parties, ids: Ids, agora_calls: Calls
) -> None:
    for number, (ends, hears) in enumerate(
        ((parties.his, parties.hers), (parties.hers, parties.his))
    ):
        call = f"{ids.call}{number}"
        await parties.ring(call)
        await parties.hers.app.emit_without_ack("call:accept", callId=call)
        await parties.his.reads("call:accepted", callId=call)
        await ends.app.emit_without_ack("call:end", callId=call)
        await hears.reads("call:ended", callId=call, endedBy=ends.user)
        await is_delivered(agora_calls, call)
        assert await has_no_more(ends.app)
        assert await agora_calls.status(call) == "ENDED"


async def test_a_call_is_rejected(parties: Parties, ids: Ids) -> None:
    await parties.ring(ids.call)
    said = {"callId": ids.call, "reason": "User declined"}
    await parties.hers.app.emit_without_ack("call:reject", **said)
    await parties.his.reads("call:rejected", **said)
    pushed = await parties.his.is_pushed("call_rejected", ids.call)
    assert pushed["reason"] == said["reason"]


async def test_a_call_is_cancelled_for_every_reason_that_the_app_has(
    parties: Parties, ids: Ids
) -> None:
    for number, reason in enumerate(CANCEL_REASONS):
        call = f"{ids.call}{number}"
        await parties.ring(call)
        await parties.his.app.emit_without_ack("call:cancel", callId=call, reason=reason)
        await parties.hers.reads("call:cancelled", callId=call, reason=reason)
        pushed = await parties.hers.is_pushed("call_cancelled", call)
        assert pushed["callerId"] == parties.his.user


async def test_whoever_calls_somebody_in_a_call_hears_that_she_is_busy(
    kind: str, agora: Stack, parties: Parties, ids: Ids
) -> None:
    await parties.ring(ids.call)
    await parties.hers.app.emit_without_ack("call:accept", callId=ids.call)
    await parties.his.reads("call:accepted", callId=ids.call)
    other = f"{ids.call}2"
    async with agora_phone(kind, agora, f"USR_{ids.call}_OTHER") as third:
        answer = await Parties(third, parties.hers).initiate(other)
        assert (answer["success"], answer["busy"], answer["callId"]) == (False, True, other)
        assert type(answer["error"]) is str
        await third.reads("call:busy", callId=other)
    assert await has_no_more(parties.hers.app)


async def test_a_call_that_nobody_answers_times_out(
    agora: Stack, ids: Ids, node_missing: str | None, agora_calls: Calls
) -> None:
    kinds = [kind for kind in KINDS if kind == "python" or not node_missing]
    # As the app does not say how long it is to ring, the function must: not for 30 seconds here.
    gateway = agora.processes["gateway"]
    await gateway.replace({**agora.values, "RING_SECONDS": "5"})
    try:
        async with AsyncExitStack() as phones, asyncio.TaskGroup() as tasks:
            for kind in kinds:
                call = f"{ids.call}_{kind}"
                parties = await phones.enter_async_context(parties_of(kind, agora, call))
                tasks.create_task(times_out(parties, call, agora_calls))
    finally:
        await gateway.replace(agora.values)


async def times_out(parties: Parties, call: str, calls: Calls) -> None:
    await parties.ring(call)
    await parties.his.reads("call:timeout", callId=call, reason="No answer")
    await parties.hers.reads("call:cancelled", callId=call, reason="Timeout")
    pushed = await parties.hers.is_pushed("call_cancelled", call)
    assert (pushed["callerId"], pushed["cause"]) == (parties.his.user, "timeout")
    assert await calls.status(call) == "MISSED"


async def test_whoever_connects_while_a_call_rings_for_him_is_told_of_it(
    kind: str, agora: Stack, ids: Ids
) -> None:
    user = f"USR_{ids.call}_HERS"
    opaque = agora.identities.opaque
    assert opaque
    async with agora_phone(kind, agora, f"USR_{ids.call}_HIS") as his:
        answer = await his.app.emit("call:initiate", receiverId=user, callId=ids.call, **SAID)
        assert answer["success"]  # though she has no socket: a push may wake her phone
        said = {"callId": ids.call, "callerName": f"User {his.user}", **SAID}
        async with (
            agora_phone(kind, agora, user) as hers,
            json_phone(agora.websocket, opaque.issue(user)) as tablet,
        ):
            await hers.reads("call:incoming", **said)
            told = await tablet.told("call:incoming")
            assert said.items() <= told.items()
            await his.app.emit_without_ack("call:cancel", callId=ids.call, reason="No answer")
            await hers.reads("call:cancelled", callId=ids.call, reason="No answer")
            await tablet.told("call:cancelled")


async def test_a_call_that_its_caller_cancels_before_he_initiates_it_rings_nowhere(
    parties: Parties, ids: Ids, agora_calls: Calls
) -> None:
    answer = await parties.his.app.emit("call:cancel", callId=ids.call, reason="No answer")
    assert (answer["success"], answer["outcome"]) == (False, "not_found")
    answer = await parties.initiate(ids.call)
    assert (answer["success"], answer["outcome"]) == (False, "already_cancelled")
    assert type(answer["error"]) is str
    assert await agora_calls.status(ids.call) == "CANCELLED"
    assert await has_no_more(parties.hers.app)
    # A ring that is told is, by the same services and later than what would have been told of this.
    await parties.ring(f"{ids.call}2")
    assert await has_no_more(parties.hers.app)
    assert len(await pushes_to(parties.hers.stack, parties.hers.device)) == 1


@pytest.mark.thorough
async def test_fifty_calls_at_once_all_ring_and_each_is_silenced(
    stack: Stack, calls: Calls, ids: Ids
) -> None:
    """Of ten callers, each to all of five receivers."""

    def call_of(caller: int, receiver: int) -> str:
        return f"{ids.call}_{caller}_{receiver}"

    async with AsyncExitStack() as phones:

        async def phone(user: str) -> JsonPhone:
            return await phones.enter_async_context(json_phone(stack.websocket, stack.token(user)))

        callers = [await phone(f"{ids.caller}_{number}") for number in range(10)]
        receivers = [await phone(f"{ids.receiver}_{number}") for number in range(5)]

        async def each(event: str, outcome: str, caller: int, receiver: int) -> None:
            said = {"receiverId": f"{ids.receiver}_{receiver}"} if event == "call:initiate" else {}
            call = call_of(caller, receiver)
            answer = await callers[caller].emit(event, callId=call, **said)
            while answer["outcome"] == "unavailable":  # a busy machine: the same again is safe
                answer = await callers[caller].emit(event, callId=call, **said)
            assert answer["outcome"] in (outcome, f"already_{outcome}")

        async def all_at_once(event: str, outcome: str, told: str) -> None:
            pairs = [(caller, receiver) for caller in range(10) for receiver in range(5)]
            await asyncio.gather(*(each(event, outcome, *pair) for pair in pairs))
            for number, receiver in enumerate(receivers):
                due = {call_of(caller, number) for caller in range(10)}
                while due:  # it may be told twice, where a post is not confirmed in time
                    due.discard((await receiver.told(told))["callId"])

        await all_at_once("call:initiate", "ringing", "call:incoming")
        await all_at_once("call:cancel", "cancelled", "call:cancelled")
