"""What the core is promised of its store when a user goes: held of all three stores."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from functions.calls.call import CallId, ConnectionId, UserId
from functions.clients.connection import Connection, Wire
from functions.clients.device import FcmToken, Platform, device_id
from functions.ports.store import Store
from functions.services.firestore import calls, devices, remote
from tests.contract.world import FirestoreWorld
from tests.memory.store import MemoryCalls, MemoryConnections, MemoryDevices
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
)
from tests.support.polls import SESSION, SOCKET, begin, claimed, moved
from tests.support.world import World, committed

PSEUDONYM = UserId("erased-1")
EXPIRES = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (calls, devices, remote):
        monkeypatch.setattr(module, "PAGE", 2)
    for port in (MemoryCalls, MemoryConnections, MemoryDevices):
        monkeypatch.setattr(port, "page", 2)


async def named(store: Store, user: UserId = CALLER) -> list[list[Connection]]:
    return [list(page) async for page in store.connections.naming(user)]


@pytest.mark.usefixtures("small_pages")
async def test_all_connections_that_name_a_user_are_found_page_by_page(store: Store) -> None:
    told = await connect(store, "1=", CALLER)
    left = await connect(store, "2=", CALLER, wire=Wire.EIO4)
    shown = replace(left, id=ConnectionId("3="), user=None, owner=None, shown_user=CALLER)
    expired = await connect(store, "4=", CALLER, connected=now() - timedelta(hours=9))
    await connect(store, "5=", RECEIVER)
    closed = await connect(store, "6=", CALLER)
    assert await store.connections.add(shown)
    read = await store.connections.get(left.id, now())
    assert read is not None
    assert await store.connections.leave(read, now(), now())
    await store.connections.close(closed.id, now())
    pages = await named(store)
    ids = [[each.id for each in page] for page in pages]
    assert ids == [["1=", "2="], ["3=", "4="], ["6="]]
    (one, two), (three, four), (six,) = pages
    assert (one, three, four) == (told, shown, expired)
    assert two.left_at
    assert six.closed_at


async def test_connections_are_removed_unless_they_have_changed(store: Store, world: World) -> None:
    for id in ("1=", "2=", "3="):
        await connect(store, id, CALLER)
    ((*found,),) = await named(store)
    assert await store.connections.remove([]) == 0
    await store.connections.note_opened(ConnectionId("2="))
    await world.delete_connection("3=")
    assert await store.connections.remove(found) == 1
    assert await world.ids_in("connections") == {"2="}
    ((*found,),) = await named(store)
    assert await store.connections.remove(found) == 1
    assert await named(store) == [[]]


# Who polls


async def begin_one_of(store: Store, user: UserId, id: str) -> Connection:
    return (await begin(store, "a", user=user, id=ConnectionId(id))).connection


async def test_with_a_session_goes_what_waits_for_its_client(store: Store, world: World) -> None:
    his = [await begin_one_of(store, CALLER, id) for id in ("poll-1", "poll-2")]
    await begin_one_of(store, RECEIVER, "poll-3")
    await connect(store, "1=", CALLER)
    ((socket, *sessions),) = await named(store)
    assert sessions == his
    assert await store.connections.remove([socket, *sessions]) == 3
    assert await world.ids_in("connections") == {"poll-3"}
    assert await world.ids_in("polls") == {"poll-3"}
    assert await store.polls.session(ConnectionId("poll-3"), now())


async def test_for_a_session_that_has_changed_what_waits_stays_and_the_others_go(
    store: Store, world: World
) -> None:
    for id in ("poll-1", "poll-2", "poll-3"):
        await begin_one_of(store, CALLER, id)
    ((*found,),) = await named(store)
    await store.connections.note_opened(ConnectionId("poll-2"))
    await world.delete_connection("poll-3")
    assert await store.connections.remove(found) == 1
    assert await world.ids_in("connections") == {"poll-2"}
    assert await world.ids_in("polls") == {"poll-2", "poll-3"}
    ((*found,),) = await named(store)
    assert await store.connections.remove(found) == 1
    assert await world.ids_in("polls") == {"poll-3"}


async def test_of_a_user_who_has_upgraded_both_connections_are_found_and_go(
    store: Store, world: World
) -> None:
    await moved(store, await begin(store, "a", user=CALLER))
    ((*both,),) = await named(store)
    assert {each.id for each in both} == {SOCKET, SESSION}
    assert await store.connections.remove(both) == 2
    assert await world.ids_in("connections") | await world.ids_in("polls") == set()


async def test_of_a_user_who_upgrades_nothing_is_left_but_a_socket_that_does_not_name_him(
    store: Store, world: World
) -> None:
    session, socket = await claimed(store, await begin(store, "a", user=CALLER))
    to = socket.taking_over(session.connection, "upgrade", now())
    ((found,),) = await named(store)
    assert await store.connections.remove([found]) == 1
    assert await world.ids_in("polls") == set()
    assert not await store.polls.move(session, to, now())
    assert await store.connections.get(SOCKET, now()) == socket
    assert (socket.user, socket.owner, await named(store)) == (None, None, [[]])


@pytest.mark.usefixtures("small_pages")
async def test_all_devices_of_a_user_are_removed_and_no_others(store: Store, world: World) -> None:
    for token in ("1", "2", "3", "theirs"):
        await register(store, token, CALLER)
    long_ago = now() - timedelta(days=9)
    await store.devices.register(CALLER, FcmToken("4"), Platform.WEB, long_ago, long_ago)
    await register(store, "theirs", RECEIVER)
    assert await store.devices.remove_all(CALLER) == 4
    assert await store.devices.remove_all(CALLER) == 0
    assert await world.ids_in("devices") == {device_id(FcmToken("theirs"))}


async def test_a_device_is_kept_with_what_the_app_calls_it(store: Store) -> None:
    at, expires = now(), now() + timedelta(days=1)
    await store.devices.register(CALLER, FcmToken("T"), Platform.IOS, at, expires, "phone 1")
    (found,) = await store.devices.of([CALLER], now())
    assert (found.app_id, found.registered_at, found.expires_at) == ("phone 1", at, expires)
    await register(store, "T", CALLER)
    (found,) = await store.devices.of([CALLER], now())
    assert found.app_id is None


async def test_whether_a_device_was_unregistered_is_told(store: Store) -> None:
    await register(store, "T", CALLER)
    id = device_id(FcmToken("T"))
    assert not await store.devices.unregister(RECEIVER, id)
    assert await store.devices.unregister(CALLER, id)
    assert not await store.devices.unregister(CALLER, id)


@pytest.mark.parametrize(("user", "other"), [(CALLER, RECEIVER), (RECEIVER, CALLER)])
async def test_a_users_calls_take_a_pseudonym_in_his_place(
    store: Store, world: World, user: UserId, other: UserId
) -> None:
    made = await committed(world, event())
    (mention,) = await store.calls.mentions(user)
    assert (mention.id, mention.call) == (CALL, await world.call())
    assert await store.calls.pseudonymise([mention], PSEUDONYM) == 1
    call = await world.call()
    assert call is not None
    assert {call.caller, call.receiver} == {PSEUDONYM, other}
    assert (call.status, call.signal_id) == (made.status, made.signal_id)
    assert await store.calls.mentions(user) == []
    assert len(await store.calls.mentions(other)) == 1
    assert await store.calls.pseudonymise([mention], UserId("erased-2")) == 0
    assert await store.calls.pseudonymise([], PSEUDONYM) == 0
    assert await world.call() == call


async def test_what_was_passed_on_with_a_ring_of_ours_goes_with_a_name(
    store: Store, world: World
) -> None:
    await ring_of_ours(store, EXPIRES)
    assert await store.calls.pseudonymise(await store.calls.mentions(CALLER), PSEUDONYM) == 1
    call = await world.call()
    assert call
    assert (call.data, call.is_ours, call.status) == (None, True, "ringing")


async def test_a_call_that_changes_meanwhile_keeps_its_change_and_the_others_are_renamed(
    store: Store, world: World
) -> None:
    for id in ("CALL_1", "CALL_2", "CALL_3"):
        await world.ring(CallId(id))
    mentions = await store.calls.mentions(CALLER)
    assert {each.id for each in mentions} == {"CALL_1", "CALL_2", "CALL_3"}
    await world.ring(CallId("CALL_2"), "accepted")
    await world.delete_call(CallId("CALL_3"))
    assert await store.calls.pseudonymise(mentions, PSEUDONYM) == 1
    (changed,) = await store.calls.mentions(CALLER)
    assert changed.call
    assert (changed.id, changed.call.status) == ("CALL_2", "accepted")
    assert await world.ids_in("calls") == {"CALL_1", "CALL_2"}


@pytest.mark.usefixtures("small_pages")
async def test_of_many_calls_some_are_found(store: Store, world: World) -> None:
    for number in range(5):
        await world.ring(CallId(f"CALL_{number}"))
    assert len(await store.calls.mentions(RECEIVER)) == 2


@pytest.mark.usefixtures("small_pages")
async def test_the_entries_for_a_user_go_and_those_for_others_stay(
    store: Store, world: World
) -> None:
    for number in range(3):
        await committed(world, event(call=CallId(f"CALL_{number}")))
    await committed(world, event("call:reject", call=CallId("CALL_9")))  # for both
    await store.outbox.remove_for(RECEIVER)
    (shared,) = await store.outbox.missed(RECEIVER, now())
    assert shared.event.call_id == "CALL_9"
    (left,) = await store.outbox.missed(CALLER, now())
    assert left.event.call_id == "CALL_9"
    await store.outbox.remove_for(RECEIVER)
    assert len(await world.ids_in("outbox")) == 1


# What only a Firestore has


async def test_what_the_parties_have_said_goes_with_their_names(documents: FirestoreWorld) -> None:
    fields: dict[str, object] = {
        "status": "ended",
        "answeredBy": RECEIVER,
        "answeredOn": "his phone",
        "endedBy": CALLER,
        "reason": "bye",
        "data": '{"callerName": "Anna"}',
        "unringExpiresAt": EXPIRES,
        "title": "the app's own",
    }
    await documents.write_call(fields)
    await documents.write_call({"status": "?", "callerId": RECEIVER}, CallId("unreadable"))
    mentions = await documents.store.calls.mentions(RECEIVER)
    assert {each.id: each.call is None for each in mentions} == {CALL: False, "unreadable": True}
    assert await documents.store.calls.pseudonymise(mentions, PSEUDONYM) == 2
    assert await fields_of(documents.client, "calls", CALL) == {
        "callerId": CALLER,
        "receiverId": PSEUDONYM,
        "status": "ended",
        "answeredBy": PSEUDONYM,
        "endedBy": CALLER,
        "unringExpiresAt": EXPIRES,
        "title": "the app's own",
    }
    assert await fields_of(documents.client, "calls", "unreadable") == {
        "callerId": PSEUDONYM,
        "receiverId": PSEUDONYM,
        "status": "?",
    }


@pytest.mark.parametrize(
    ("ours", "stays"),
    [
        ({}, {"reason", "data"}),
        ({"endedBy": CALLER}, {"data"}),
        ({"answeredBy": CALLER}, {"data"}),
        ({"signalId": "1"}, {"data"}),
        ({"unringExpiresAt": EXPIRES}, {"reason"}),
    ],
)
@pytest.mark.parametrize("status", ["ended", "unreadable"])
async def test_what_the_app_has_written_by_itself_stays(
    documents: FirestoreWorld, ours: dict[str, object], stays: set[str], status: str
) -> None:
    own: dict[str, object] = {"reason": "app's own", "data": {"invoice": 42}}
    await documents.write_call({"status": status, **own, **ours})
    mentions = await documents.store.calls.mentions(RECEIVER)
    assert await documents.store.calls.pseudonymise(mentions, PSEUDONYM) == 1
    left = await fields_of(documents.client, "calls", CALL)
    assert left
    assert {name: value for name, value in left.items() if name in own} == {
        name: own[name] for name in stays
    }
    assert left["receiverId"] == PSEUDONYM


async def test_the_device_on_which_the_other_answered_stays(documents: FirestoreWorld) -> None:
    answered: dict[str, object] = {"answeredBy": RECEIVER, "answeredOn": "his phone"}
    await documents.write_call({"status": "accepted", **answered})
    mentions = await documents.store.calls.mentions(CALLER)
    assert await documents.store.calls.pseudonymise(mentions, PSEUDONYM) == 1
    call = await fields_of(documents.client, "calls", CALL)
    parties = {"callerId": PSEUDONYM, "receiverId": RECEIVER, "status": "accepted"}
    assert call == {**parties, **answered}


async def test_a_call_to_oneself_has_one_pseudonym(documents: FirestoreWorld) -> None:
    await documents.write_call({"status": "ended", "receiverId": CALLER})
    mentions = await documents.store.calls.mentions(CALLER)
    assert await documents.store.calls.pseudonymise(mentions, PSEUDONYM) == 1
    call = await documents.call()
    assert call
    assert (call.caller, call.receiver) == (PSEUDONYM, PSEUDONYM)


async def test_an_entry_that_is_for_somebody_else_too_stays(documents: FirestoreWorld) -> None:
    made = await committed(documents, event())
    entry = documents.client.collection("unring_outbox").document(f"{CALL}:{made.signal_id}")
    await entry.update({"recipients": [RECEIVER, CALLER]})
    await documents.store.outbox.remove_for(RECEIVER)
    assert len(await documents.ids_in("outbox")) == 1
