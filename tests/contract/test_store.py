"""What the core is promised of its store, held of all three: calls, connections, devices."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from functions.calls.call import Call, CallId, Cause, ConnectionId, SignalId, Status, UserId
from functions.calls.event import CallEvent
from functions.calls.ring import Ring
from functions.clients.connection import BegunRing, Connection, Wire
from functions.clients.device import FcmAddress, FcmToken, InstallationId, Platform, device_id
from functions.clients.profile import NO_PROFILE, Profile
from functions.ports.identity import Identified
from functions.ports.store import (
    Birth,
    Born,
    Overdue,
    Store,
    StoreConflict,
    StoredCall,
    StoreUnavailable,
)
from tests.support.makers import (
    CALL,
    CALLER,
    RECEIVER,
    connect,
    event,
    now,
    register,
    ring_of_ours,
    socketio_connections,
)
from tests.support.world import World, committed


async def read_again(store: Store, connection: Connection) -> Connection:
    found = await store.connections.get(connection.id, now())
    assert found is not None
    return found


async def test_what_is_not_there_is_loaded_as_none(store: Store) -> None:
    loaded = await store.calls.load(CALL, ConnectionId("c="), now())
    assert (loaded.connection, loaded.call) == (None, None)


async def test_a_call_and_its_sender_are_loaded_together(store: Store, world: World) -> None:
    await world.ring()
    sender = await connect(store, "c=", CALLER)
    loaded = await store.calls.load(CALL, sender.id, now())
    assert loaded.connection == sender
    assert isinstance(loaded.call, StoredCall)
    assert loaded.call.call.status is Status.RINGING
    assert (loaded.call.call.caller, loaded.call.call.receiver) == (CALLER, RECEIVER)


async def test_a_new_call_is_written_with_the_entry_of_its_ring(store: Store, world: World) -> None:
    call = await ring_of_ours(store, now() + timedelta(days=30))
    assert await world.call() == call
    assert call.signal_id is not None
    entry = await store.outbox.entry(CALL, call.signal_id)
    assert entry is not None
    assert entry.event.rings_until == call.rings_until
    assert entry.pending_since is not None


async def test_a_new_call_may_be_told_to_nobody(store: Store, world: World) -> None:
    call = Call(CALL, CALLER, RECEIVER, Status.RINGING, is_ours=True, ring_seconds=30)
    await store.calls.create(call, None, now=now(), expires=now() + timedelta(days=30))
    assert await world.call() == call
    assert await world.pending_calls() == set()


async def test_a_call_that_is_there_is_not_created_again(store: Store, world: World) -> None:
    await world.ring(status=Status.ACCEPTED)
    with pytest.raises(StoreConflict):
        await ring_of_ours(store, now() + timedelta(days=30))
    call = await world.call()
    assert call is not None
    assert call.status is Status.ACCEPTED
    assert await world.pending_calls() == set()


async def test_what_a_call_of_ours_has_while_it_rings_goes_with_the_ring(
    store: Store, world: World
) -> None:
    await ring_of_ours(store, now() + timedelta(days=30))
    stored = await store.calls.get(CALL)
    assert isinstance(stored, StoredCall)
    await store.calls.commit(stored, event("call:reject"))
    call = await world.call()
    assert call is not None
    assert (call.rings_until, call.data, call.ring_seconds) == (None, None, None)
    assert (call.is_ours, call.cause) == (True, Cause.REJECTED)


async def test_a_call_that_was_only_known_may_begin_to_ring(store: Store, world: World) -> None:
    call = Call(CALL, CALLER, RECEIVER, Status.RINGING, is_ours=True, ring_seconds=30)
    await store.calls.create(call, None, now=now(), expires=now() + timedelta(days=30))
    stored = await store.calls.get(CALL)
    assert isinstance(stored, StoredCall)
    ring = Ring(CALL, CALLER, RECEIVER, 30, None, is_told=True)
    begun = ring.begun(SignalId("S"), now(), stored.call)
    await store.calls.commit(stored, CallEvent.of_ring(begun, SignalId("S"), now()))
    assert await world.call() == begun


async def test_a_commit_writes_the_call_and_the_outbox(store: Store, world: World) -> None:
    await world.ring()
    before = (await store.calls.load(CALL, ConnectionId("c="), now())).call
    assert isinstance(before, StoredCall)
    made = event()
    await store.calls.commit(before, made)
    call = await world.call()
    assert call == replace(
        before.call,
        status=Status.CANCELLED,
        signal_id=made.signal_id,
        cause=Cause.CALLER_CANCELLED,
        ended_at=made.decided_at,
    )
    entry = await store.outbox.entry(CALL, made.signal_id)
    assert entry is not None
    assert entry.event == made
    assert entry.pending_since is not None
    # The store's own time of the commit, which no instance's clock can be wrong about.
    assert abs(entry.pending_since - entry.created) < timedelta(seconds=1)
    assert (entry.served, entry.pushed, entry.claimed_by) == (frozenset(), frozenset(), None)


async def test_when_a_ring_ends_and_which_signal_ended_it_is_read_with_the_call(
    store: Store, world: World
) -> None:
    ends, signal_id = now() + timedelta(seconds=40), SignalId("s")
    await world.ring(status="cancelled", signal_id=signal_id, rings_until=ends)
    call = await world.call()
    assert call == Call(CALL, CALLER, RECEIVER, Status.CANCELLED, signal_id, ends)


async def test_the_calls_that_are_there_are_read_at_once(store: Store, world: World) -> None:
    for id in ("CALL_1", "CALL_2", "CALL_3"):
        await world.ring(CallId(id))
    asked = [CallId(id) for id in ("CALL_1", "CALL_3", "CALL_4")]
    assert set(await store.calls.current(asked)) == {"CALL_1", "CALL_3"}


async def test_the_connections_and_devices_of_several_users_are_found_at_once(
    store: Store,
) -> None:
    both = [await connect(store, "a=", CALLER), await connect(store, "b=", RECEIVER)]
    await connect(store, "c=", UserId("USR_3"))
    found = await store.connections.of([CALLER, RECEIVER], now())
    assert sorted(found, key=lambda each: each.id) == both
    for user in (CALLER, RECEIVER, UserId("USR_3")):
        await register(store, f"token of {user}", user)
    devices = await store.devices.of([CALLER, RECEIVER], now())
    assert {device.user: device.address for device in devices} == {
        CALLER: f"token of {CALLER}",
        RECEIVER: f"token of {RECEIVER}",
    }


async def test_a_commit_is_known_again_whatever_became_of_the_call(
    store: Store, world: World
) -> None:
    made = await committed(world, event())
    reloaded = await store.calls.reload(made)
    assert reloaded.entry is not None
    assert (reloaded.is_ours, reloaded.entry.event) == (True, made)
    await world.ring(status="ended")
    assert (await store.calls.reload(made)).is_ours
    await world.delete_call()
    reloaded = await store.calls.reload(made)
    assert (reloaded.is_ours, reloaded.call) == (True, None)
    another = event()
    await world.ring()
    reloaded = await store.calls.reload(another)
    assert (reloaded.is_ours, reloaded.entry) == (False, None)
    assert isinstance(reloaded.call, StoredCall)
    assert reloaded.call.call.status is Status.RINGING


async def test_a_commit_that_is_done_twice_writes_once(store: Store, world: World) -> None:
    made = await committed(world, event())
    await world.ring()
    stored = (await store.calls.load(CALL, ConnectionId("c="), now())).call
    assert isinstance(stored, StoredCall)
    with pytest.raises(StoreConflict):
        await store.calls.commit(stored, made)
    call = await world.call()
    assert call is not None
    assert call.status == "ringing"


async def test_a_commit_on_a_changed_call_writes_nothing(store: Store, world: World) -> None:
    await world.ring()
    stale = (await store.calls.load(CALL, ConnectionId("c="), now())).call
    assert isinstance(stale, StoredCall)
    await world.ring(status="accepted")
    with pytest.raises(StoreConflict):
        await store.calls.commit(stale, event())
    call = await world.call()
    assert call is not None
    assert call.status == "accepted"
    assert await world.ids_in("outbox") == set()


async def test_a_commit_on_a_deleted_call_writes_nothing(store: Store, world: World) -> None:
    await world.ring()
    stale = (await store.calls.load(CALL, ConnectionId("c="), now())).call
    assert isinstance(stale, StoredCall)
    await world.delete_call()
    with pytest.raises(StoreConflict):
        await store.calls.commit(stale, event())
    assert await world.ids_in("calls") | await world.ids_in("outbox") == set()


async def test_a_user_has_all_connections_that_have_not_expired(store: Store) -> None:
    one, two = await connect(store, "1=", RECEIVER), await connect(store, "2=", RECEIVER)
    await connect(store, "3=", CALLER)
    await connect(store, "4=", RECEIVER, connected=now() - timedelta(hours=3))
    found = await store.connections.of([RECEIVER], now())
    assert sorted(found, key=lambda connection: connection.id) == [one, two]
    assert await store.connections.get(ConnectionId("4="), now()) is None


async def test_a_closed_connection_is_told_nothing_and_says_for_a_minute_whose_it_was(
    store: Store,
) -> None:
    made = await connect(store, "1=", RECEIVER)
    closed_at = now()
    for _ in range(2):
        await store.connections.close(made.id, closed_at)
        assert await store.connections.of([RECEIVER], now()) == []
    closed = await store.connections.get(made.id, now())
    expires = closed_at + timedelta(seconds=60)
    assert closed == replace(made, user=None, closed_at=closed_at, expires_at=expires)
    assert await store.connections.get(made.id, expires) is None


async def test_a_connection_that_is_closed_before_it_is_added_is_not_added(
    store: Store, world: World
) -> None:
    id = ConnectionId("1=")
    await store.connections.close(id, now())
    expires = now() + timedelta(hours=2)
    late = Connection(id, RECEIVER, Wire.JSON, now(), expires, owner=RECEIVER)
    assert not await store.connections.add(late)
    assert await store.connections.get(id, now()) is None
    assert await store.connections.of([RECEIVER], now()) == []
    assert await world.ids_in("connections") == {id}


async def test_a_connection_that_is_added_twice_is_our_own(store: Store) -> None:
    made = await connect(store, "1=", RECEIVER)
    assert await store.connections.add(made)
    assert await store.connections.of([RECEIVER], now()) == [made]


@pytest.mark.parametrize("wire", [Wire.EIO3, Wire.EIO4])
async def test_a_socketio_connection_is_read_as_it_was_written(
    store: Store, world: World, wire: Wire
) -> None:
    for made in socketio_connections(wire):
        await world.delete_connection(made.id)
        assert await store.connections.add(made)
        assert await store.connections.get(made.id, now()) == made


async def test_a_connection_without_a_user_is_nobodys_until_it_is_admitted(
    store: Store,
) -> None:
    made = await connect(store, "1=", None, wire=Wire.EIO4, is_open=False)
    at, expires = now(), made.expires_at
    assert await store.connections.of([RECEIVER], now()) == []
    read = await read_again(store, made)
    assert await store.connections.admit(read, Identified(RECEIVER), at, expires)
    assert not await store.connections.admit(
        read, Identified(CALLER), at, expires
    )  # it is not as it was read
    (found,) = await store.connections.of([RECEIVER], now())
    admitted = replace(made, user=RECEIVER, owner=RECEIVER, is_open=True, admitted_at=at)
    assert found == admitted
    assert await store.connections.admit(found, Identified(CALLER), at, expires)
    assert await store.connections.of([RECEIVER], now()) == []


async def test_a_connection_is_told_in_the_namespace_to_which_it_was_admitted_last(
    store: Store,
) -> None:
    made = await connect(store, "1=", None, wire=Wire.EIO4, is_open=False)
    for namespace in ("/user", "/agent", "/"):
        asked = replace(await read_again(store, made), namespace=namespace)
        assert await store.connections.admit(asked, Identified(RECEIVER), now(), made.expires_at)
        (found,) = await store.connections.of([RECEIVER], now())
        assert found.namespace == namespace
    refused = replace(await read_again(store, made), namespace="/user")
    assert await store.connections.leave(refused, now(), now(), now())
    assert (await read_again(store, made)).namespace == "/user"


async def test_a_connection_keeps_all_the_namespaces_that_its_client_is_in(store: Store) -> None:
    made, at = await connect(store, "1=", None, wire=Wire.EIO4), now()
    in_three = replace(
        await read_again(store, made), namespace="/user", also_in={"/": None, "/agent": at}
    )
    assert await store.connections.admit(in_three, Identified(RECEIVER), at, made.expires_at)
    (found,) = await store.connections.of([RECEIVER], now())
    assert (found.namespace, found.also_in) == ("/user", {"/": None, "/agent": at})
    for admitted_at in (at, None):
        moved = replace(found, namespace="/agent", also_in={"/": None}, admitted_at=admitted_at)
        assert await store.connections.move(moved)
        assert not await store.connections.move(moved)
        (found,) = await store.connections.of([RECEIVER], now())
        assert found == moved
    assert await store.connections.leave(found, at, at)
    left = await read_again(store, made)
    assert (left.namespace, left.also_in, left.left_at) == ("/agent", {}, at)


async def test_a_connection_keeps_the_one_call_that_a_ring_token_is_for(store: Store) -> None:
    def at_first(id: str, **more: Any) -> Connection:
        expires = now() + timedelta(hours=2)
        return Connection(ConnectionId(id), None, Wire.EIO4, now(), expires, **more)

    made = at_first("1=", only_call=CALL, device="phone 1", registration="registered 1")
    assert await store.connections.add(made)
    assert await read_again(store, made) == made
    later = at_first("2=")
    assert await store.connections.add(later)
    read = await read_again(store, later)
    assert (read.only_call, read.device) == (None, None)
    of_call = replace(read, only_call=CALL, device="phone 2", registration="registered 2")
    assert await store.connections.admit(of_call, Identified(RECEIVER), now(), read.expires_at)
    read = await read_again(store, read)
    assert (read.only_call, read.device) == (CALL, "phone 2")
    assert read.registration == "registered 2"
    assert await store.connections.leave(read, now(), now())
    read = await read_again(store, read)
    assert (read.user, read.only_call, read.device) == (None, CALL, "phone 2")


async def test_a_connection_keeps_the_profile_of_the_user_that_it_is_admitted_as(
    store: Store, world: World
) -> None:
    ann, bob = Profile("Ann"), Profile("Bob")
    at = now()
    handshake = Connection(
        ConnectionId("1="), None, Wire.EIO4, at, at + timedelta(hours=2), shown_profile=ann
    )
    assert await store.connections.add(handshake)
    read = await read_again(store, handshake)
    assert read == handshake
    for profile in (ann, bob, NO_PROFILE, bob):
        admitted = Identified(RECEIVER, profile)
        assert await store.connections.admit(read, admitted, at, read.expires_at)
        read = await read_again(store, read)
        assert (read.profile, read.shown_profile) == (profile, ann)
    # What was sent before a goodbye is still this user's.
    assert await store.connections.leave(read, at, at)
    assert (await read_again(store, read)).profile == bob
    await world.delete_connection("1=")
    assert await store.connections.add(replace(handshake, user=CALLER, owner=CALLER, profile=bob))
    (found,) = await store.connections.of([CALLER], now())
    assert found.profile == bob


async def test_whom_the_handshake_has_shown_is_forgotten_once_somebody_else_is_admitted(
    store: Store,
) -> None:
    at = now()
    expires = at + timedelta(hours=2)
    handshake = Connection(
        ConnectionId("1="),
        None,
        Wire.EIO4,
        at,
        expires,
        shown_user=CALLER,
        shown_profile=Profile("Ann"),
    )
    assert await store.connections.add(handshake)
    read = await read_again(store, handshake)
    assert await store.connections.admit(read, Identified(CALLER), at, expires)
    read = await read_again(store, read)
    assert (read.shown_user, read.shown_profile) == (CALLER, Profile("Ann"))
    assert await store.connections.admit(read, Identified(RECEIVER), at, expires)
    read = await read_again(store, read)
    assert (read.user, read.shown_user, read.shown_profile) == (RECEIVER, None, NO_PROFILE)
    assert [page async for page in store.connections.naming(CALLER)] == [[]]


async def test_since_when_a_session_was_its_users_is_forgotten_once_somebody_is_admitted(
    store: Store,
) -> None:
    socket = Connection(ConnectionId("1="), None, Wire.EIO4, now(), now() + timedelta(hours=2))
    assert await store.connections.add(replace(socket, told_since=now()))
    read = await read_again(store, socket)
    assert read.told_since
    assert await store.connections.admit(read, Identified(RECEIVER), now(), read.expires_at)
    assert (await read_again(store, socket)).told_since is None


async def test_a_device_is_reached_by_its_token_or_by_its_installation_id(store: Store) -> None:
    addresses: list[FcmAddress] = [FcmToken("T"), InstallationId("F")]
    for address in addresses:
        expires = now() + timedelta(days=1)
        await store.devices.register(RECEIVER, address, Platform.WEB, now(), expires)
    found = {device.address for device in await store.devices.of([RECEIVER], now())}
    assert found == set(addresses)
    assert {type(address) for address in found} == {FcmToken, InstallationId}
    await store.devices.unregister(RECEIVER, device_id(InstallationId("F")))
    (left,) = await store.devices.of([RECEIVER], now())
    assert left.address == "T"


async def test_a_connection_that_was_left_is_its_owners_and_can_be_admitted_again(
    store: Store,
) -> None:
    made = await connect(store, "1=", RECEIVER, wire=Wire.EIO4)
    read, at = await read_again(store, made), now()
    assert await store.connections.leave(read, at, at)
    assert not await store.connections.leave(read, at, at)
    left = await read_again(store, made)
    expires = at + timedelta(seconds=60)
    assert left == replace(made, user=None, closed_at=at, left_at=at, expires_at=expires)
    assert await store.connections.of([RECEIVER], now()) == []
    assert await store.connections.admit(left, Identified(RECEIVER), at, made.expires_at)
    back = replace(made, former_owner=RECEIVER, former_left_at=at, admitted_at=at)
    assert await store.connections.of([RECEIVER], now()) == [back]


async def test_who_was_not_admitted_in_time_is_found_until_he_is_or_his_socket_is_closed(
    store: Store,
) -> None:
    at = now()
    for number, seconds in enumerate((-10, -20, -30, 60)):
        admit_by = at + timedelta(seconds=seconds)
        expires = at - timedelta(seconds=1)  # which does not matter here
        made = Connection(
            ConnectionId(f"{number}="), None, Wire.EIO4, at, expires, admit_by=admit_by
        )
        assert await store.connections.add(made)
    third, second, first = await store.connections.unadmitted(at)
    assert [each.id for each in (first, second, third)] == ["0=", "1=", "2="]
    assert await store.connections.admit(first, Identified(CALLER), at, at + timedelta(hours=1))
    assert not await store.connections.turn_away(first, at, at)
    await store.connections.close(second.id, at)
    later = at + timedelta(seconds=45)
    assert await store.connections.turn_away(third, at, later)
    assert await store.connections.unadmitted(at) == []
    (due,) = await store.connections.unadmitted(later)
    assert (due.id, due.admit_by, due.closed_at) == ("2=", later, at)


async def test_who_is_refused_is_given_until_then(store: Store) -> None:
    made = await connect(store, "1=", None, wire=Wire.EIO4)
    read, at = await read_again(store, made), now()
    assert await store.connections.leave(read, at, at, admit_by=at)
    (due,) = await store.connections.unadmitted(at)
    assert due.id == "1="


async def test_a_session_that_opened_keeps_all_else(store: Store) -> None:
    made = await connect(store, "1=", RECEIVER, wire=Wire.EIO3, is_open=False)
    for _ in range(2):
        await store.connections.note_opened(made.id)
        assert await store.connections.get(made.id, now()) == replace(made, is_open=True)


async def test_a_connection_that_is_not_there_does_not_come_back(
    store: Store, world: World
) -> None:
    made = await connect(store, "1=", None, wire=Wire.EIO4, is_open=False)
    read = await read_again(store, made)
    await world.delete_connection("1=")
    assert not await store.connections.admit(read, Identified(RECEIVER), now(), made.expires_at)
    assert not await store.connections.leave(read, now(), now())
    await store.connections.note_opened(made.id)
    assert await world.ids_in("connections") == set()


async def test_a_device_belongs_to_who_registered_it_last(store: Store) -> None:
    await register(store, "T", CALLER)
    await register(store, "T", RECEIVER)
    assert await store.devices.of([CALLER], now()) == []
    (device,) = await store.devices.of([RECEIVER], now())
    assert (device.id, device.address) == (device_id(FcmToken("T")), "T")
    assert await store.devices.of([RECEIVER], now() + timedelta(days=2)) == []


async def test_nobody_unregisters_the_device_of_another(store: Store) -> None:
    await register(store, "T", RECEIVER)
    await store.devices.unregister(CALLER, device_id(FcmToken("T")))
    await store.devices.unregister(CALLER, device_id(FcmToken("never registered")))
    assert len(await store.devices.of([RECEIVER], now())) == 1
    await store.devices.unregister(RECEIVER, device_id(FcmToken("T")))
    assert await store.devices.of([RECEIVER], now()) == []


async def test_a_dead_device_that_registered_again_stays(store: Store) -> None:
    await register(store, "T", RECEIVER)
    (dead,) = await store.devices.of([RECEIVER], now())
    await register(store, "T", RECEIVER)
    await store.devices.forget(dead)
    (again,) = await store.devices.of([RECEIVER], now())
    await store.devices.forget(again)
    assert await store.devices.of([RECEIVER], now()) == []


# Rings whose time is over


async def overdue(store: Store) -> list[CallId]:
    pages = [page async for page in store.calls.overdue(now() + timedelta(minutes=1))]
    return [each.id for page in pages for each in page]


async def test_a_ring_of_ours_is_overdue_until_it_ends(store: Store, world: World) -> None:
    await world.ring(CallId("CALL_9"))  # the app's own, which has no time
    assert await overdue(store) == []
    await ring_of_ours(store, now() + timedelta(days=30))
    assert await overdue(store) == [CALL]
    pages = [page async for page in store.calls.overdue(now())]
    assert [each for page in pages for each in page] == []
    stored = await store.calls.get(CALL)
    assert isinstance(stored, StoredCall)
    await store.calls.commit(stored, event())
    assert await overdue(store) == []


async def test_what_is_noted_as_silent_is_overdue_no_more_unless_it_has_changed(
    store: Store,
) -> None:
    await ring_of_ours(store, now() + timedelta(days=30))
    before = await store.calls.get(CALL)
    assert isinstance(before, StoredCall)
    found = Overdue(CALL, before.version, before.call)
    await store.calls.note_silent(found)
    assert await overdue(store) == []
    after = await store.calls.get(CALL)
    assert isinstance(after, StoredCall)
    assert after.call == before.call
    await store.calls.note_silent(found)  # it is not as it was read, and nothing happens
    assert await store.calls.get(CALL) == after


# On which device a connection is


async def test_who_registers_by_a_connection_is_known_to_be_on_it(store: Store) -> None:
    id = ConnectionId("1=")
    await connect(store, id, RECEIVER)
    expires = now() + timedelta(days=1)
    address = FcmToken("t")
    await store.devices.register(
        RECEIVER, address, Platform.ANDROID, now(), expires, "phone", by=id
    )
    found = await store.connections.get(id, now())
    assert found
    assert (found.device, found.registration) == ("phone", device_id(address))


async def test_who_registers_by_a_connection_that_is_gone_is_not_registered(store: Store) -> None:
    gone = ConnectionId("gone=")
    with pytest.raises(StoreUnavailable):
        await store.devices.register(
            RECEIVER, FcmToken("t"), Platform.ANDROID, now(), now() + timedelta(days=1), by=gone
        )
    assert await store.devices.of([RECEIVER], now()) == []
    assert await store.connections.get(gone, now()) is None


# Births: who came first, a call or its cancel

EXPIRES = timedelta(days=30)


async def bear(
    store: Store, id: CallId = CALL, birth: Birth | None = None, on: Connection | None = None
) -> Call:
    call = Ring(id, CALLER, RECEIVER, 30, None, is_told=True).begun(SignalId(id), now(), None)
    made = CallEvent.of_ring(call, SignalId(id), now())
    expires = now() + EXPIRES
    await store.calls.create(call, made, now=now(), expires=expires, birth=birth, on=on)
    return call


async def test_a_cancel_that_comes_first_keeps_its_call_from_being_created(store: Store) -> None:
    assert await store.calls.forestall(CALL, CALLER, now())
    assert await store.calls.forestall(CALL, CALLER, now())  # the same again
    with pytest.raises(StoreConflict):
        await bear(store)
    born = await store.calls.born(CALL, CALLER)
    assert born.is_cancelled(now())
    assert not born.is_cancelled(now() + timedelta(seconds=61))


async def test_a_ring_that_was_not_created_is_known_to_have_been_cancelled(store: Store) -> None:
    await store.calls.forestall(CALL, CALLER, now())
    ring = Ring(CALL, CALLER, RECEIVER, 30, None, is_told=True)
    call = ring.begun(SignalId("S"), now(), None)
    reloaded = await store.calls.reload(CallEvent.of_ring(call, SignalId("S"), now()))
    assert (reloaded.is_ours, reloaded.call) == (False, None)
    assert Born(reloaded.call, reloaded.birth).is_cancelled(now())


async def test_a_call_that_comes_first_is_not_forestalled(store: Store) -> None:
    await bear(store)
    assert not await store.calls.forestall(CALL, CALLER, now())
    assert not (await store.calls.born(CALL, CALLER)).is_cancelled(now())


async def test_a_cancel_of_another_caller_or_call_forestalls_nothing(store: Store) -> None:
    await store.calls.forestall(CALL, RECEIVER, now())
    await store.calls.forestall(CallId("CALL_2"), CALLER, now())
    await bear(store)


async def test_what_was_born_long_ago_counts_no_more(store: Store) -> None:
    long_ago = now() - timedelta(seconds=61)
    await store.calls.forestall(CALL, CALLER, long_ago)
    born = await store.calls.born(CALL, CALLER)
    assert not born.is_cancelled(now())
    await bear(store, birth=born.birth)
    assert not await store.calls.forestall(CALL, CALLER, now())
    # A cancel too may come after an old one, of a call that is not there.
    other = CallId("CALL_2")
    await store.calls.forestall(other, CALLER, long_ago)
    assert await store.calls.forestall(other, CALLER, now())
    assert (await store.calls.born(other, CALLER)).is_cancelled(now())


async def test_a_birth_that_has_changed_since_it_was_read_is_a_conflict(store: Store) -> None:
    await store.calls.forestall(CALL, CALLER, now() - timedelta(seconds=61))
    old = (await store.calls.born(CALL, CALLER)).birth
    await store.calls.forestall(CALL, CALLER, now())
    with pytest.raises(StoreConflict):
        await bear(store, birth=old)


async def test_a_call_that_is_born_cancelled_is_told_to_nobody(store: Store, world: World) -> None:
    call = Call(CALL, CALLER, RECEIVER, Status.CANCELLED)
    await store.calls.create_cancelled(call, now=now(), expires=now() + EXPIRES)
    stored = await world.call()
    assert stored
    assert stored.ended_at
    expected = replace(call, cause=Cause.CALLER_CANCELLED, is_ours=True)
    assert replace(stored, ended_at=None) == expected
    assert await world.pending_calls() == set()
    with pytest.raises(StoreConflict):
        await store.calls.create_cancelled(call, now=now(), expires=now() + EXPIRES)


def begun(call: Call) -> BegunRing:
    assert call.signal_id
    assert call.rings_until
    return BegunRing(call.signal_id, call.rings_until)


async def test_a_connection_knows_what_was_initiated_by_it(store: Store) -> None:
    on = await connect(store, "caller=", CALLER)
    first = await bear(store, CallId('CALL_`1.".2'), on=on)  # an id may have any character
    on = await read_again(store, on)
    assert on.calling == {first.id: begun(first)}
    second = await bear(store, CallId("CALL_2"), on=on)
    assert (await read_again(store, on)).calling == {
        first.id: begun(first),
        second.id: begun(second),
    }


async def test_what_a_connection_has_initiated_long_ago_is_forgotten(store: Store) -> None:
    on = await connect(store, "caller=", CALLER)
    await bear(store, on=on)
    on = await read_again(store, on)
    long_ago = BegunRing(SignalId("S"), now() - timedelta(minutes=3))
    old = replace(on, calling=dict.fromkeys(on.calling, long_ago))
    second = await bear(store, CallId("CALL_2"), on=old)
    assert set((await read_again(store, on)).calling) in ({second.id}, {CALL, second.id})


async def test_nothing_is_created_by_a_connection_that_is_gone(store: Store, world: World) -> None:
    gone = await connect(store, "caller=", CALLER)
    await world.delete_connection(gone.id)
    with pytest.raises(StoreConflict):
        await bear(store, on=gone)
    assert await world.call() is None


# A user's calls


async def test_a_users_calls_are_found_by_both_roles_and_by_their_status(
    store: Store, world: World
) -> None:
    for name, status in (("R", "ringing"), ("A", "accepted"), ("E", "ended")):
        await world.ring(CallId(name), status)
    for user in (CALLER, RECEIVER):
        found = await store.calls.of(user, (Status.RINGING, Status.ACCEPTED))
        assert sorted(each.call.id for each in found) == ["A", "R"]
        found = await store.calls.of(user, (Status.ACCEPTED,))
        assert [each.call.id for each in found] == ["A"]
    assert await store.calls.of(UserId("USR_3"), (Status.ACCEPTED,)) == []
