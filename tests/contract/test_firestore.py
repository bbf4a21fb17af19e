"""What our documents look like in a Firestore, and what is made of those that nobody can read."""

from dataclasses import replace
from datetime import timedelta

import pytest
from google.cloud.firestore import GeoPoint
from google.cloud.firestore_v1.vector import Vector

from functions.calls.call import ConnectionId, Status, UnreadableCall, UserId
from functions.clients.connection import Connection, Wire
from functions.clients.profile import Profile
from functions.ports.identity import Identified
from functions.ports.store import Store, StoredCall, StoreUnavailable
from functions.services.firestore import connect as connect_store
from functions.services.firestore import store_of
from functions.services.firestore.database import Database
from functions.settings import FunctionSettings
from infra.client.calls import client_at
from tests.contract.world import FirestoreWorld
from tests.support.collections import CONNECTIONS, DEVICES, OUTBOX
from tests.support.loglines import logged
from tests.support.makers import (
    CALL,
    CALLER,
    RECEIVER,
    connect,
    event,
    fields_of,
    now,
    register,
    ring_of_ours,
    socketio_connections,
)
from tests.support.processes import settings_of
from tests.support.world import committed


@pytest.fixture
async def store(documents: FirestoreWorld) -> Store:
    return documents.store


async def test_a_commit_writes_the_call_and_the_outbox(
    store: Store, documents: FirestoreWorld
) -> None:
    await documents.ring()
    before = (await store.calls.load(CALL, ConnectionId("c="), now())).call
    assert isinstance(before, StoredCall)
    made = event()
    await store.calls.commit(before, made)
    call = await fields_of(documents.client, "calls", CALL)
    assert call == {
        "callerId": CALLER,
        "receiverId": RECEIVER,
        "status": "cancelled",
        "endedAt": made.decided_at,
        "endedBy": CALLER,
        "reason": "Caller ended call",
        "cause": "caller_cancelled",
        "signalId": made.signal_id,
    }
    entry = await store.outbox.entry(CALL, made.signal_id)
    assert entry is not None
    assert entry.event == made
    assert entry.pending_since is not None
    # Firestore's own time of the commit, which no instance's clock can be wrong about.
    assert abs(entry.pending_since - entry.created) < timedelta(seconds=1)
    assert (entry.served, entry.pushed, entry.claimed_by) == (frozenset(), frozenset(), None)
    fields = await fields_of(documents.client, "outbox", f"{CALL}:{made.signal_id}")
    assert fields is not None
    assert (fields["recipients"], fields["expiresAt"]) == ([RECEIVER], made.expires_at)


async def test_a_call_of_ours_loses_what_is_its_rings_when_the_ring_ends(
    store: Store, documents: FirestoreWorld
) -> None:
    expires = now() + timedelta(days=30)
    call = await ring_of_ours(store, expires)
    fields = await fields_of(documents.client, "calls", CALL)
    assert fields == {
        "callerId": CALLER,
        "receiverId": RECEIVER,
        "status": "ringing",
        "ringsUntil": call.rings_until,
        "unringRingsUntil": call.rings_until,
        "ringSeconds": 30,
        "data": '{"a":1}',
        "signalId": call.signal_id,
        "unringExpiresAt": expires,
    }
    stored = await store.calls.get(CALL)
    assert isinstance(stored, StoredCall)
    await store.calls.commit(stored, event())
    fields = await fields_of(documents.client, "calls", CALL)
    assert fields is not None
    assert {"ringsUntil", "unringRingsUntil", "ringSeconds", "data"}.isdisjoint(fields)
    assert fields["unringExpiresAt"] == expires


async def test_a_call_of_the_apps_keeps_its_fields_whatever_they_are_called(
    store: Store, documents: FirestoreWorld
) -> None:
    await documents.ring()
    theirs = {"data": {"of": "the app"}, "ringsUntil": now(), "expiresAt": now()}
    await documents.client.collection("calls").document(CALL).update(theirs)
    stored = await store.calls.get(CALL)
    assert isinstance(stored, StoredCall)
    await store.calls.commit(stored, event())
    fields = await fields_of(documents.client, "calls", CALL)
    assert fields is not None
    assert theirs.items() <= fields.items()


async def test_who_answered_and_when_is_kept_apart_from_who_ended_the_call(
    store: Store, documents: FirestoreWorld
) -> None:
    made = await committed(documents, event("call:accept"))
    call = await fields_of(documents.client, "calls", CALL)
    assert call is not None
    assert (call["answeredAt"], call["answeredBy"]) == (made.decided_at, RECEIVER)
    assert call.keys().isdisjoint({"endedAt", "endedBy"})


async def test_a_commit_is_known_again_whatever_became_of_the_call(
    store: Store, documents: FirestoreWorld
) -> None:
    made = await committed(documents, event())
    assert (await store.calls.reload(made)).is_ours
    for fields in ({"status": "dialling"}, {"callerId": CALLER, "status": "ended"}):
        await documents.client.collection("calls").document(CALL).set(fields)
        assert (await store.calls.reload(made)).is_ours
    another = event()
    await documents.ring()
    reloaded = await store.calls.reload(another)
    assert not reloaded.is_ours
    assert isinstance(reloaded.call, StoredCall)
    assert reloaded.call.call.status is Status.RINGING


async def test_of_a_call_that_nobody_can_read_it_is_known_whose_it_may_be(
    store: Store, documents: FirestoreWorld
) -> None:
    document = documents.client.collection("calls").document(CALL)
    odd: list[tuple[dict[str, object], set[str]]] = [
        ({}, set()),
        ({"callerId": CALLER}, {CALLER}),
        ({"callerId": 7, "receiverId": CALLER, "status": "ringing"}, {CALLER}),
        ({"callerId": CALLER, "receiverId": RECEIVER, "status": "dialling"}, {CALLER, RECEIVER}),
        ({"callerId": [CALLER], "receiverId": {}, "status": "ringing"}, set()),
    ]
    for fields, users in odd:
        await document.set(fields)
        unreadable = UnreadableCall(CALL, frozenset(users))
        assert (await store.calls.load(CALL, ConnectionId("c="), now())).call == unreadable
        assert (await store.calls.reload(event())).call == unreadable


async def test_a_call_may_have_fields_of_any_type_and_keeps_them(
    store: Store, documents: FirestoreWorld, firestore: str
) -> None:
    elsewhere = client_at(firestore, "another-project").collection("rooms").document("1")
    theirs: dict[str, object] = {
        "where": GeoPoint(52.5, 13.4),
        "room": documents.client.collection("rooms").document("1"),
        "meaning": Vector([0.25, 1]),
        "picture": b"\x00\xff",
        "cause": {"by": "cron"},
        "parts": [None, True, 7, 0.5, {"at": now(), "none": {}, "empty": []}],
    }
    await documents.write_call({"status": "ringing", **theirs, "other.room": elsewhere})
    stored = await store.calls.get(CALL)
    assert isinstance(stored, StoredCall)
    await store.calls.commit(stored, event())
    document = documents.client.collection("calls").document(CALL)
    kept = (await document.get(["where", "room", "meaning", "picture", "parts"])).to_dict() or {}
    assert kept == {name: value for name, value in theirs.items() if name != "cause"}


async def test_of_a_connection_that_is_closed_before_it_is_added_only_that_is_written(
    store: Store, documents: FirestoreWorld
) -> None:
    id = ConnectionId("1=")
    await store.connections.close(id, now())
    fields = await fields_of(documents.client, "connections", id)
    assert fields is not None
    assert set(fields) == {"closedAt", "expiresAt"}


async def test_a_json_connection_is_written_with_five_fields_alone(
    store: Store, documents: FirestoreWorld
) -> None:
    made = await connect(store, "1=", RECEIVER)
    assert await fields_of(documents.client, "connections", "1=") == {
        "owner": RECEIVER,
        "userId": RECEIVER,
        "wire": "json",
        "connectedAt": made.connected_at,
        "expiresAt": made.expires_at,
    }
    assert await store.connections.get(made.id, now()) == made


async def test_a_profile_is_written_as_a_map_of_what_it_says(
    store: Store, documents: FirestoreWorld
) -> None:
    made = Connection(ConnectionId("1="), RECEIVER, Wire.EIO4, now(), now() + timedelta(hours=1))
    assert await store.connections.add(replace(made, profile=Profile("Ann")))
    fields = await fields_of(documents.client, "connections", "1=")
    assert fields is not None
    assert fields["profile"] == {"name": "Ann"}
    assert "shownProfile" not in fields
    read = await store.connections.get(made.id, now())
    assert read is not None
    assert await store.connections.admit(read, Identified(CALLER), now(), made.expires_at)
    fields = await fields_of(documents.client, "connections", "1=")
    assert fields is not None
    assert (fields["owner"], "profile" in fields) == (CALLER, False)


@pytest.mark.parametrize("wire", [Wire.EIO3, Wire.EIO4])
async def test_a_socketio_connection_is_read_as_it_was_written(
    store: Store, documents: FirestoreWorld, wire: Wire
) -> None:
    for made in socketio_connections(wire):
        await documents.delete_connection(made.id)
        assert await store.connections.add(made)
        assert await store.connections.get(made.id, now()) == made
        fields = await fields_of(documents.client, "connections", "1=")
        assert fields is not None
        assert (fields["wire"], fields["isOpen"]) == (wire.value, False)
        assert ("userId" in fields, "saidUserId" in fields) == (
            made.user is not None,
            made.said_user is not None,
        )
        assert fields.get("refusal") == made.refusal


async def test_a_connection_document_that_nobody_can_read_is_passed_over(
    store: Store, documents: FirestoreWorld
) -> None:
    await documents.client.collection(CONNECTIONS).document("bad=").set({"userId": RECEIVER})
    good = await connect(store, "1=", RECEIVER)
    assert await store.connections.of([RECEIVER], now()) == [good]


async def test_a_connection_of_which_only_the_end_is_known_is_not_there_and_not_worth_a_word(
    store: Store, documents: FirestoreWorld
) -> None:
    made = await connect(store, "1=", CALLER)
    await documents.delete_connection(made.id)  # as an erasure does
    await store.connections.close(made.id, now())
    with logged() as lines:
        assert await store.connections.get(made.id, now()) is None
        assert (await store.calls.load(CALL, made.id, now())).connection is None
        # One that can't be read is: only its writer can mend it.
        await documents.client.collection(CONNECTIONS).document("2=").set({"wire": 7})
        assert await store.connections.get(ConnectionId("2="), now()) is None
    (line,) = lines()
    assert (line["message"], line["error"]) == ("malformed document", "wire is no text")


async def test_a_device_document_that_nobody_can_read_is_passed_over(
    store: Store, documents: FirestoreWorld
) -> None:
    devices = documents.client.collection(DEVICES)
    whole = {"userId": RECEIVER, "token": "T", "platform": "ios", "expiresAt": now()}
    for name in ("token", "platform", "expiresAt"):
        await devices.document(f"no {name}").set({**whole, name: 7})
    await register(store, "U", RECEIVER)
    assert [found.address for found in await store.devices.of([RECEIVER], now())] == ["U"]


async def test_a_function_keeps_its_documents_in_the_project_of_its_settings(
    documents: FirestoreWorld, firestore: str, project: str
) -> None:
    settings = settings_of(
        FunctionSettings, GOOGLE_CLOUD_PROJECT=project, FIRESTORE_EMULATOR_HOST=firestore
    )
    made = await connect(connect_store(settings), "1=", RECEIVER)
    assert await documents.store.connections.of([RECEIVER], now()) == [made]


async def test_a_function_keeps_its_documents_in_the_database_and_the_collections_of_its_settings(
    firestore: str, project: str
) -> None:
    settings = settings_of(
        FunctionSettings,
        GOOGLE_CLOUD_PROJECT=project,
        FIRESTORE_EMULATOR_HOST=firestore,
        FIRESTORE_DATABASE="elsewhere",
        CALLS_COLLECTION="rings",
        COLLECTION_PREFIX="",
    )
    store = connect_store(settings)
    client = client_at(firestore, project, "elsewhere")
    call = client.collection("rings").document(CALL)
    await call.set({"callerId": CALLER, "receiverId": RECEIVER, "status": "ringing"})
    await connect(store, "1=", CALLER)
    await register(store, "T", RECEIVER)
    loaded = await store.calls.load(CALL, ConnectionId("1="), now())
    assert isinstance(loaded.call, StoredCall)
    await store.calls.commit(loaded.call, made := event())
    assert await store.outbox.entry(CALL, made.signal_id)
    names = {collection.id async for collection in client.collections()}
    assert names == {"rings", "connections", "devices", "outbox"}


async def test_a_firestore_that_is_down_is_unavailable(project: str) -> None:
    store = store_of(Database(project, emulator="127.0.0.1:9"))
    with pytest.raises(StoreUnavailable):
        await store.connections.of([UserId("USR_1")], now())


async def test_an_event_under_the_name_of_another_is_no_entry(
    store: Store, documents: FirestoreWorld
) -> None:
    made = await committed(documents, event())
    entries = documents.client.collection(OUTBOX)
    fields = (await entries.document(f"{CALL}:{made.signal_id}").get()).to_dict() or {}
    await entries.document("misnamed").set(fields)
    (page,) = [page async for page in store.outbox.pending(now() + timedelta(seconds=5))]
    assert [entry.event for entry in page.entries] == [made]
    assert [found.id for found in page.unreadable] == ["misnamed"]


async def test_an_unreadable_entry_that_is_mended_meanwhile_stays(
    store: Store, documents: FirestoreWorld
) -> None:
    made = await committed(documents, event())
    document = documents.client.collection(OUTBOX).document(f"{CALL}:{made.signal_id}")
    good = (await document.get()).to_dict() or {}
    await document.update({"event": 7})
    (page,) = [page async for page in store.outbox.pending(now() + timedelta(seconds=5))]
    await document.set(good)
    await store.outbox.remove(*page.unreadable)
    entry = await store.outbox.entry(CALL, made.signal_id)
    assert entry is not None
    assert entry.event == made


async def test_an_event_whose_call_nobody_can_read_is_known_without_it(
    store: Store, documents: FirestoreWorld
) -> None:
    made = await committed(documents, event())
    await documents.write_call({"callerId": 7})
    known = await store.outbox.known(made)
    assert known.entry is not None
    assert known.call is None


@pytest.mark.parametrize("signal_id", [None, 7, "a/b", ""])
async def test_a_signal_id_that_is_none_of_ours_is_read_as_none(
    store: Store, documents: FirestoreWorld, signal_id: object
) -> None:
    await documents.write_call({"status": "cancelled", "signalId": signal_id})
    call = await documents.call()
    assert call is not None
    assert (call.status, call.signal_id) == (Status.CANCELLED, None)
