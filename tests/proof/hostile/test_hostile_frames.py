"""What no frame can do: act on a call of others, find one out, hear of it, or take a device."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from google.cloud.firestore import AsyncClient

from functions.calls.call import CallId, ConnectionId, Status
from functions.calls.transitions import SIGNALS, transitions_of
from functions.clients.connection import Wire
from functions.clients.device import device_id
from functions.collections import USUAL
from functions.ports.store import StoredCall
from functions.services.firestore import store_of
from functions.services.firestore.database import Database
from infra.client.calls import Calls
from infra.client.phone import json_phone
from infra.local.stack import Stack
from tests.support.attackers import Attacker, attacker, connection_of
from tests.support.collections import CONNECTIONS, OUTBOX
from tests.support.makers import event, fields_of, now
from tests.support.stacks import Ids

pytestmark = pytest.mark.thorough

WIRES = pytest.mark.parametrize("wire", Wire)
CANCEL = "call:cancel"


@pytest.fixture
def stack(signed_stack: Stack) -> Stack:
    return signed_stack


@pytest.fixture
async def stranger(stack: Stack, wire: Wire, ids: Ids) -> AsyncIterator[Attacker]:
    """Has an account of its own, and knows all ids but no secret."""
    async with attacker(stack, wire, stack.token(f"{ids.caller}_STRANGER")) as client:
        yield client


async def everything(stack: Stack, documents: AsyncClient, ids: Ids) -> dict[str, object]:
    """All documents that have to do with these ids, but for the connections of strangers.

    Once all is delivered that was published: a session that has opened is noted after that.
    """
    assert stack.queue
    await stack.queue.idle()
    found: dict[str, object] = {}
    for collection in ("calls", "outbox", "devices", "connections"):
        async for snapshot in documents.collection(USUAL.named(collection)).stream():
            fields = snapshot.to_dict()
            text = f"{snapshot.id} {fields}".replace(f"{ids.caller}_STRANGER", "")
            if any(id in text for id in (ids.call, ids.caller, ids.receiver, ids.token)):
                found[snapshot.reference.path] = (fields, snapshot.update_time)
    return found


# Acting on a call of others, and finding one out


async def put(documents: AsyncClient, ids: Ids, suffix: str, **changes: object) -> str:
    """A call of others in whatever state."""
    call = f"{ids.call}_{suffix}"
    fields = {"callerId": ids.caller, "receiverId": ids.receiver, **changes}
    await documents.collection("calls").document(call).set(fields)
    return call


@WIRES
@pytest.mark.parametrize("signal", SIGNALS)
async def test_a_stranger_is_told_the_same_of_every_call_and_of_none(
    stack: Stack, documents: AsyncClient, ids: Ids, stranger: Attacker, signal: str
) -> None:
    calls = [await put(documents, ids, status, status=status.value) for status in Status]
    calls.append(await undelivered(stack, documents, ids, signal))
    before = await everything(stack, documents, ids)
    answers = {
        (await stranger.ask(signal, {"callId": call})).replace(call, "CALL")
        for call in (*calls, f"{ids.call}_unknown")
    }
    (answer,) = answers
    assert '{"ok":false,"outcome":"not_found","callId":"CALL"}' in answer
    assert await everything(stack, documents, ids) == before
    for path in before:
        if path.startswith(f"{OUTBOX}/"):
            await documents.document(path).delete()


async def undelivered(stack: Stack, documents: AsyncClient, ids: Ids, signal: str) -> str:
    """A call whose event is on its way, which a party that repeats itself publishes again.

    It was decided in an hour from now, as `sweep` would take up one of the past at any moment.
    """
    call = CallId(await put(documents, ids, "undelivered", status="ringing"))
    store = store_of(Database(stack.project, emulator=stack.firestore))
    loaded = await store.calls.load(call, ConnectionId("none="), now())
    assert isinstance(loaded.call, StoredCall)
    caller, receiver = ids.caller, ids.receiver
    in_an_hour = now() + timedelta(hours=1)
    theirs = event(signal, call=call, decided=in_an_hour, caller=caller, receiver=receiver)
    await store.calls.commit(loaded.call, theirs)
    return call


@WIRES
@pytest.mark.parametrize(
    "fields",
    [{"status": "dialing"}, {"status": 7}, {}, {"status": "ringing", "receiverId": None}],
    ids=["unknown status", "no text", "no status", "no receiver"],
)
async def test_a_stranger_is_told_nothing_of_a_call_that_can_not_be_read(
    documents: AsyncClient, ids: Ids, stranger: Attacker, fields: dict[str, object]
) -> None:
    call = await put(documents, ids, "odd", **fields)
    for signal in SIGNALS:
        assert (await stranger.verdict(signal, {"callId": call}))["outcome"] == "not_found"


@WIRES
async def test_the_wrong_party_is_told_so_and_changes_nothing(
    stack: Stack, calls: Calls, ids: Ids, wire: Wire
) -> None:
    await calls.ring(ids.call, ids.caller, ids.receiver)
    async with (
        attacker(stack, wire, stack.token(ids.caller)) as caller,
        attacker(stack, wire, stack.token(ids.receiver)) as receiver,
    ):
        for party, signal in (
            (receiver, "call:cancel"),
            (caller, "call:reject"),
            (caller, "call:accept"),
        ):
            assert (await party.verdict(signal, {"callId": ids.call}))["outcome"] == "forbidden"
    assert await calls.status(ids.call) == "ringing"


@WIRES
async def test_who_a_frame_says_it_is_from_does_not_count(
    stack: Stack, documents: AsyncClient, calls: Calls, ids: Ids, stranger: Attacker
) -> None:
    await calls.ring(ids.call, ids.caller, ids.receiver)
    before = await everything(stack, documents, ids)
    names = ("userId", "uid", "sub", "user", "sender", "callerId", "endedBy", "connectionId")
    for victim, signal in ((ids.caller, CANCEL), (ids.receiver, "call:reject")):
        claims = dict.fromkeys(names, victim)
        inside = await stranger.verdict(signal, {"callId": ids.call, **claims})
        auth = {"token": "garbage", "userId": victim}
        beside = await stranger.verdict(signal, {"callId": ids.call}, **claims, auth=auth)
        assert inside["outcome"] == beside["outcome"] == "not_found"
    assert await everything(stack, documents, ids) == before


def paths_to(call: str, connection: str) -> list[str]:
    """Ids that would lead elsewhere if an id were a path."""
    return [
        *(f"x/{call}", f"/{call}", f"{call}/", f"calls/{call}", f"../calls/{call}", "/", "//"),
        *(f"connections/{connection}", f"../connections/{connection}", f"{call}/../{call}"),
        *(".", "..", "__x__", "____", f"__{call}__", f"{call}\0", f"\n{call}", f"{call}\x85"),
        *(f"calls%2F{call}", f"..%2Fconnections%2F{connection}", f"{call}%00", f"%2e%2e/{call}"),
        *(f"{call} ", f" {call}", f"{call}.", f"{call}\u200b", f"{call[:-1]}\uff11", call.lower()),
        *("*", "%", "$(id)", "' OR '1'='1", "{}", f'{call}"}}', connection, "warm-up", "é" * 128),
    ]


@WIRES
async def test_an_id_leads_to_no_other_document(
    stack: Stack, documents: AsyncClient, calls: Calls, ids: Ids, wire: Wire
) -> None:
    await calls.ring(ids.call, ids.caller, ids.receiver)
    async with (
        json_phone(stack.websocket, stack.token(ids.receiver)),
        attacker(stack, wire, stack.token(ids.caller)) as caller,
    ):
        before = await everything(stack, documents, ids)
        for id in paths_to(ids.call, await connection_of(documents, ids.receiver)):
            # Even the party that may cancel the call: another id is another call, or none.
            verdict = await caller.verdict(CANCEL, {"callId": id})
            assert verdict["outcome"] in {"not_found", "invalid"}, id
            assert verdict["outcome"] == "not_found" or verdict["field"] == "callId", id
        assert await everything(stack, documents, ids) == before


# Reading events of others


@WIRES
async def test_only_the_sockets_of_the_told_party_hear_of_a_call(
    stack: Stack, calls: Calls, ids: Ids, wire: Wire
) -> None:
    near = [ids.receiver.lower(), f"{ids.receiver}_", ids.receiver[:-1], f" {ids.receiver}"]
    async with AsyncExitStack() as sockets:
        caller, receiver, *others = [
            await sockets.enter_async_context(attacker(stack, wire, stack.token(user)))
            for user in (ids.caller, ids.receiver, "*", "USR_OTHER", *near)
        ]
        for signal, sender, told in (
            (CANCEL, caller, receiver),
            ("call:reject", receiver, caller),
            ("call:accept", receiver, caller),
        ):
            await calls.ring(ids.call, ids.caller, ids.receiver)
            await sender.ask(signal, {"callId": ids.call})
            row = next(transitions_of(signal))
            assert row.notices[0].event in await told.told()
            await calls.until_delivered(ids.call)
            for silent in (sender, told, *others):
                assert await silent.hears_nothing()


@pytest.mark.parametrize("shown", ["garbage", "expired", "of nobody"])
async def test_who_was_shut_out_hears_and_does_nothing_more(
    stack: Stack, calls: Calls, ids: Ids, shown: str
) -> None:
    assert stack.signers
    tokens = {
        "garbage": "garbage",
        "expired": stack.token(ids.receiver, lifetime_seconds=-60),
        "of nobody": stack.signers.users.sign(""),
    }
    async with (
        attacker(stack, Wire.EIO4, stack.token(ids.receiver)) as receiver,
        json_phone(stack.websocket, stack.token(ids.caller)) as caller,
    ):
        assert (await receiver.answer(f'40{{"token":"{tokens[shown]}"}}')).startswith("44{")
        await calls.ring(ids.call, ids.caller, ids.receiver)
        assert (await receiver.verdict("call:reject", {"callId": ids.call}))["outcome"] == (
            "forbidden"
        )
        registered = await receiver.verdict(
            "device:register", {"token": ids.token, "platform": "web"}
        )
        assert registered["outcome"] == "forbidden"
        assert (await caller.emit(CANCEL, callId=ids.call))["outcome"] == "cancelled"
        await calls.until_delivered(ids.call)
        assert await receiver.hears_nothing()


@WIRES
async def test_a_connection_that_has_expired_hears_and_does_nothing_more(
    stack: Stack, documents: AsyncClient, calls: Calls, ids: Ids, wire: Wire
) -> None:
    async with (
        attacker(stack, wire, stack.token(ids.receiver)) as receiver,
        json_phone(stack.websocket, stack.token(ids.caller)) as caller,
    ):
        id = await connection_of(documents, ids.receiver)
        await documents.collection(CONNECTIONS).document(id).update({"expiresAt": now()})
        await calls.ring(ids.call, ids.caller, ids.receiver)
        answer = await receiver.ask("call:reject", {"callId": ids.call})
        assert "reconnect" in answer
        assert "rejected" not in answer
        assert (await caller.emit(CANCEL, callId=ids.call))["outcome"] == "cancelled"
        await calls.until_delivered(ids.call)
        assert await receiver.hears_nothing()


# Devices of others


@WIRES
async def test_a_device_is_registered_for_the_sender_whoever_the_frame_names(
    stack: Stack, documents: AsyncClient, ids: Ids, stranger: Attacker
) -> None:
    claims = dict.fromkeys(("userId", "user", "uid", "owner"), ids.receiver)
    device = {"token": ids.token, "platform": "android"}
    inside = await stranger.verdict("device:register", {**device, **claims})
    beside = await stranger.verdict("device:register", device, **claims)
    assert inside["outcome"] == beside["outcome"] == "registered"
    stored = await fields_of(documents, "devices", device_id(ids.token))
    assert stored is not None
    assert stored["userId"] == f"{ids.caller}_STRANGER"


@WIRES
async def test_nobody_unregisters_the_device_of_another_nor_learns_of_it(
    stack: Stack, documents: AsyncClient, ids: Ids, stranger: Attacker
) -> None:
    async with json_phone(stack.websocket, stack.token(ids.receiver)) as victim:
        await victim.emit("device:register", token=ids.token, platform="android")
        before = await fields_of(documents, "devices", device_id(ids.token))
        theirs = await stranger.ask("device:unregister", {"token": ids.token})
        unknown = await stranger.ask("device:unregister", {"token": f"{ids.token}-unknown"})
        assert theirs == unknown
        assert await fields_of(documents, "devices", device_id(ids.token)) == before


@WIRES
async def test_who_takes_a_token_over_gets_no_event_of_its_last_owner(
    stack: Stack, calls: Calls, ids: Ids, stranger: Attacker
) -> None:
    other = f"{ids.token}-other"
    async with (
        json_phone(stack.websocket, stack.token(ids.caller)) as caller,
        json_phone(stack.websocket, stack.token(ids.receiver)) as receiver,
    ):
        for token in (ids.token, other):
            await receiver.emit("device:register", token=token, platform="android")
        # A phone that is handed on registers for its new owner, and FCM's tokens are secrets.
        known = await stranger.ask("device:register", {"token": ids.token, "platform": "ios"})
        fresh = await stranger.ask("device:register", {"token": f"{other}2", "platform": "ios"})
        assert known == fresh
        await calls.ring(ids.call, ids.caller, ids.receiver)
        await caller.emit(CANCEL, callId=ids.call)
        await calls.until_delivered(ids.call)
        assert stack.queue
        await stack.queue.idle()
    pushed = [message["token"] for message in stack.fcm.messages if ids.call in json.dumps(message)]
    assert pushed == [other]
