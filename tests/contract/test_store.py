"""The Firestore service keeps its promises on the embedded server and on Google's emulator."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from google.cloud.firestore import AsyncClient

from functions.calls.call import CallId, ConnectionId, Status, UserId
from functions.services.documents import MessageId, device_id
from functions.services.firestore import Store
from functions.services.remote import StoreConflict, StoreUnavailable
from functions.wire.frames import FcmToken, Wire
from infra.local.calls import client_at
from tests.support.makers import (
    CALL,
    CALLER,
    RECEIVER,
    connect,
    event,
    fields_of,
    ids_in,
    now,
    register,
    ring,
    signal,
)


@pytest.fixture
async def client(firestore: str, project: str) -> AsyncClient:
    return client_at(firestore, project)


@pytest.fixture
async def store(client: AsyncClient) -> Store:
    return Store(client)


async def test_what_is_not_there_is_loaded_as_none(store: Store) -> None:
    loaded = await store.load(ConnectionId("c="), CALL, now())
    assert (loaded.sender, loaded.call, loaded.pending) == (None, None, None)


async def test_a_call_and_its_sender_are_loaded_together(store: Store, client: AsyncClient) -> None:
    await ring(client)
    sender = await connect(store, "c=", CALLER)
    loaded = await store.load(sender.id, CALL, now())
    assert loaded.sender == sender
    assert loaded.call is not None
    assert loaded.call.call.status is Status.RINGING
    assert (loaded.call.call.caller, loaded.call.call.receiver) == (CALLER, RECEIVER)


async def test_a_commit_writes_the_call_and_the_outbox(store: Store, client: AsyncClient) -> None:
    await ring(client)
    before = (await store.load(ConnectionId("c="), CALL, now())).call
    assert before
    made = event()
    await store.commit(before, signal(), made)
    call = await fields_of(client, "calls", CALL)
    assert call == {
        "callerId": CALLER,
        "receiverId": RECEIVER,
        "status": "cancelled",
        "endedAt": made.decided_at,
        "endedBy": CALLER,
        "reason": "Caller ended call",
        "signalId": made.signal_id,
    }
    after = await store.load(ConnectionId("c="), CALL, now())
    assert after.pending == made.served_to(after.pending.served)
    entry = await fields_of(client, "outbox", CALL)
    assert entry
    assert (entry["createdAt"], entry["expiresAt"]) == (made.decided_at, made.expires)


async def test_a_commit_on_a_changed_call_writes_nothing(store: Store, client: AsyncClient) -> None:
    await ring(client)
    stale = (await store.load(ConnectionId("c="), CALL, now())).call
    assert stale
    await ring(client, status="accepted")
    with pytest.raises(StoreConflict):
        await store.commit(stale, signal(), event())
    call = await fields_of(client, "calls", CALL)
    assert call is not None
    assert call["status"] == "accepted"
    assert await ids_in(client, "outbox") == set()


async def test_a_commit_on_a_deleted_call_writes_nothing(store: Store, client: AsyncClient) -> None:
    await ring(client)
    stale = (await store.load(ConnectionId("c="), CALL, now())).call
    assert stale
    await client.collection("calls").document(CALL).delete()
    with pytest.raises(StoreConflict):
        await store.commit(stale, signal(), event())
    assert await ids_in(client, "calls") | await ids_in(client, "outbox") == set()


async def test_a_call_that_nobody_can_read_is_a_fault_to_its_parties_and_unknown_to_others(
    store: Store, client: AsyncClient
) -> None:
    caller, stranger = await connect(store, "1=", CALLER), await connect(store, "2=", UserId("?"))
    nobodys = await connect(store, "3=", None, wire=Wire.EIO4)
    for fields in (
        {"callerId": CALLER},
        {"callerId": 7, "receiverId": CALLER, "status": "ringing"},
        {"callerId": CALLER, "receiverId": RECEIVER, "status": "dialling"},
    ):
        await client.collection("calls").document(CALL).set(fields)
        with pytest.raises(StoreUnavailable):
            await store.load(caller.id, CALL, now())
        for connection in (stranger, nobodys):
            assert (await store.load(connection.id, CALL, now())).call is None
    await client.collection("calls").document(CALL).set({})
    assert (await store.load(caller.id, CALL, now())).call is None


async def test_a_user_has_all_connections_that_have_not_expired(store: Store) -> None:
    one, two = await connect(store, "1=", RECEIVER), await connect(store, "2=", RECEIVER)
    await connect(store, "3=", CALLER)
    await connect(store, "4=", RECEIVER, connected=now() - timedelta(hours=3))
    found = await store.connections_of(RECEIVER, now())
    assert sorted(found, key=lambda connection: connection.id) == [one, two]
    assert await store.connection(ConnectionId("4="), now()) is None


async def test_a_closed_connection_is_gone(store: Store) -> None:
    await connect(store, "1=", RECEIVER)
    await store.remove_connection(ConnectionId("1="))
    await store.remove_connection(ConnectionId("1="))
    assert await store.connections_of(RECEIVER, now()) == []


async def test_a_json_connection_is_written_with_four_fields_alone(
    store: Store, client: AsyncClient
) -> None:
    made = await connect(store, "1=", RECEIVER)
    assert await fields_of(client, "connections", "1=") == {
        "userId": RECEIVER,
        "wire": "json",
        "connectedAt": made.connected_at,
        "expiresAt": made.expires_at,
    }
    assert await store.connection(made.id, now()) == made


@pytest.mark.parametrize("wire", [Wire.EIO3, Wire.EIO4])
async def test_a_socketio_connection_is_read_as_it_was_written(
    store: Store, client: AsyncClient, wire: Wire
) -> None:
    for user, claimed, refusal in (
        (None, None, "the token is missing"),
        (None, "USR_9", "userId is not the token's"),
        (RECEIVER, RECEIVER, None),
    ):
        young = await connect(store, "1=", user, wire=wire, is_open=False, refusal=refusal)
        made = replace(young, claimed_user=claimed)
        await store.add_connection(made)
        assert await store.connection(made.id, now()) == made
        fields = await fields_of(client, "connections", "1=")
        assert fields is not None
        assert (fields["wire"], fields["isOpen"]) == (wire.value, False)
        assert ("userId" in fields, "claimedUserId" in fields) == (bool(user), bool(claimed))
        assert fields.get("refusal") == refusal


async def test_a_connection_without_a_user_is_nobodys_until_it_authenticates(
    store: Store, client: AsyncClient
) -> None:
    made = await connect(store, "1=", None, wire=Wire.EIO4, is_open=False)
    assert await store.connections_of(RECEIVER, now()) == []
    assert await store.authenticate(made.id, RECEIVER)
    (found,) = await store.connections_of(RECEIVER, now())
    assert found == replace(made, user=RECEIVER, is_open=True)
    assert await store.authenticate(made.id, CALLER)
    assert await store.connections_of(RECEIVER, now()) == []


async def test_a_session_that_opened_keeps_all_else(store: Store) -> None:
    made = await connect(store, "1=", RECEIVER, wire=Wire.EIO3, is_open=False)
    for _ in range(2):
        await store.opened(made.id)
        assert await store.connection(made.id, now()) == replace(made, is_open=True)


async def test_a_removed_connection_does_not_come_back(store: Store, client: AsyncClient) -> None:
    made = await connect(store, "1=", None, wire=Wire.EIO4, is_open=False)
    await store.remove_connection(made.id)
    assert not await store.authenticate(made.id, RECEIVER)
    await store.opened(made.id)
    assert await ids_in(client, "connections") == set()


async def test_a_connection_document_that_nobody_can_read_is_passed_over(
    store: Store, client: AsyncClient
) -> None:
    await client.collection("connections").document("bad=").set({"userId": RECEIVER})
    good = await connect(store, "1=", RECEIVER)
    assert await store.connections_of(RECEIVER, now()) == [good]


async def test_a_device_belongs_to_who_registered_it_last(store: Store) -> None:
    await register(store, "T", CALLER)
    await register(store, "T", RECEIVER)
    assert await store.devices_of(CALLER, now()) == []
    (device,) = await store.devices_of(RECEIVER, now())
    assert (device.id, device.token) == (device_id(FcmToken("T")), "T")
    assert await store.devices_of(RECEIVER, now() + timedelta(days=2)) == []


async def test_nobody_unregisters_the_device_of_another(store: Store) -> None:
    await register(store, "T", RECEIVER)
    await store.unregister_device(CALLER, FcmToken("T"))
    await store.unregister_device(CALLER, FcmToken("never registered"))
    assert len(await store.devices_of(RECEIVER, now())) == 1
    await store.unregister_device(RECEIVER, FcmToken("T"))
    assert await store.devices_of(RECEIVER, now()) == []


async def test_a_device_that_a_push_marks_meanwhile_is_still_unregistered(store: Store) -> None:
    await register(store, "T", RECEIVER)
    (device,) = await store.devices_of(RECEIVER, now())
    await asyncio.gather(
        *(store.partly_delivered(event(), [device]) for _ in range(5)),
        store.unregister_device(RECEIVER, FcmToken("T")),
    )
    assert await store.devices_of(RECEIVER, now()) == []


async def test_a_dead_device_that_registered_again_stays(store: Store) -> None:
    await register(store, "T", RECEIVER)
    (dead,) = await store.devices_of(RECEIVER, now())
    await register(store, "T", RECEIVER)
    await store.forget_device(dead)
    (again,) = await store.devices_of(RECEIVER, now())
    await store.forget_device(again)
    assert await store.devices_of(RECEIVER, now()) == []


async def test_a_delivered_event_leaves_the_outbox_with_its_dead_connections(
    store: Store, client: AsyncClient
) -> None:
    await ring(client)
    stored = (await store.load(ConnectionId("c="), CALL, now())).call
    assert stored
    made = event()
    await store.commit(stored, signal(), made)
    dead, alive = await connect(store, "1=", RECEIVER), await connect(store, "2=", RECEIVER)
    await store.delivered(made, gone=[dead])
    assert await store.pending(CALL) is None
    assert await store.connections_of(RECEIVER, now()) == [alive]
    await store.delivered(made)


async def test_of_all_who_claim_an_entry_one_has_it(store: Store, client: AsyncClient) -> None:
    await ring(client)
    stored = (await store.load(ConnectionId("c="), CALL, now())).call
    assert stored
    await store.commit(stored, signal(), made := event())
    pending = await store.pending(CALL)
    assert pending is not None
    assert (pending.event, pending.claimed_by, pending.claimed_at) == (made, None, None)
    claims = [store.claim(pending, MessageId(name), now()) for name in "abc"]
    assert sorted(await asyncio.gather(*claims)) == [False, False, True]
    claimed = await store.pending(CALL)
    assert claimed is not None
    assert claimed.claimed_by in ("a", "b", "c")
    assert claimed.claimed_at is not None
    await store.delivered(made)
    assert not await store.claim(claimed, MessageId("d"), now())
    assert await ids_in(client, "outbox") == set()


async def test_who_has_the_event_is_remembered(store: Store) -> None:
    made = event()
    served = await connect(store, "1=", RECEIVER)
    gone = await connect(store, "2=", RECEIVER)
    await register(store, "T", RECEIVER)
    (device,) = await store.devices_of(RECEIVER, now())
    await store.partly_delivered(made, [served], gone=[gone])
    await store.partly_delivered(made, [device])
    (connection,) = await store.connections_of(RECEIVER, now())
    (device,) = await store.devices_of(RECEIVER, now())
    assert (connection.served, device.served) == (made.signal_id, made.signal_id)


async def test_remembering_does_not_bring_back_a_connection_that_closed(
    store: Store, client: AsyncClient
) -> None:
    closed = await connect(store, "1=", RECEIVER)
    await store.remove_connection(closed.id)
    open_ = await connect(store, "2=", RECEIVER)
    made = event()
    await store.partly_delivered(made, [closed, open_])
    assert await ids_in(client, "connections") == {"2="}
    (found,) = await store.connections_of(RECEIVER, now())
    assert found.served == made.signal_id


async def test_the_outbox_is_read_oldest_first(store: Store, client: AsyncClient) -> None:
    calls = [CallId(f"CALL_{number}") for number in range(3)]
    for age, call in enumerate(calls):
        await ring(client, call)
        stored = (await store.load(ConnectionId("c="), call, now())).call
        assert stored
        made = event(call=call, decided=now() - timedelta(seconds=age))
        await store.commit(stored, signal(call=call), made)
    pending = await store.all_pending(limit=2)
    assert [made.call_id for made in pending] == ["CALL_2", "CALL_1"]


async def test_a_firestore_that_is_down_is_unavailable(project: str) -> None:
    store = Store(client_at("127.0.0.1:9", project))
    with pytest.raises(StoreUnavailable):
        await store.connections_of(UserId("USR_1"), now())
