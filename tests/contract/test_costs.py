"""What each method of the store costs in remote calls: in memory what it costs on a Firestore."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from inspect import isfunction
from typing import get_type_hints

import pytest

from functions.attempt import MessageId
from functions.calls.call import Call, CallId, ConnectionId, Status, UserId
from functions.clients.connection import Connection
from functions.clients.device import Device, FcmToken, Platform
from functions.ports.identity import Identified
from functions.ports.store import (
    Entry,
    Overdue,
    Store,
    StoredCall,
    Unreadable,
)
from infra.emulators.firestore import FirestoreServer
from tests.contract.world import firestore_world_at
from tests.memory.services import Services
from tests.support.journal import Journal
from tests.support.makers import CALL, CALLER, RECEIVER, connect, event, now, register, ring_of_ours
from tests.support.polls import SESSION, begin, claimed, session_of, socket_for
from tests.support.world import World, committed

GONE = ConnectionId("gone=")


@dataclass
class Scene:
    """A store with something of everything in it."""

    world: World
    journal: Journal

    @property
    def store(self) -> Store:
        return self.world.store

    async def connection(self, id: str = "1=") -> Connection:
        await connect(self.store, id, RECEIVER)
        found = await self.store.connections.get(ConnectionId(id), now())
        assert found is not None
        return found

    async def device(self) -> Device:
        await register(self.store, "T", RECEIVER)
        (found,) = await self.store.devices.of([RECEIVER], now())
        return found

    async def call(self) -> StoredCall:
        await self.world.ring()
        loaded = await self.store.calls.load(CALL, GONE, now())
        assert isinstance(loaded.call, StoredCall)
        return loaded.call

    async def entry(self) -> Entry:
        made = await committed(self.world, event())
        found = await self.store.outbox.entry(CALL, made.signal_id)
        assert found is not None
        return found

    async def unreadable(self) -> Unreadable:
        await self.world.put_unreadable("rubbish", now() - timedelta(seconds=9))
        ((found,),) = [page.unreadable async for page in self.store.outbox.pending(now())]
        return found


Step = Callable[[], Awaitable[object]]
Prepare = Callable[[Scene], Awaitable[Step]]


async def load(scene: Scene) -> Step:
    return lambda: scene.store.calls.load(CALL, GONE, now())


async def get_call(scene: Scene) -> Step:
    return lambda: scene.store.calls.get(CALL)


async def reload(scene: Scene) -> Step:
    entry = await scene.entry()
    return lambda: scene.store.calls.reload(entry.event)


async def commit(scene: Scene) -> Step:
    stored = await scene.call()
    return lambda: scene.store.calls.commit(stored, event())


async def create(scene: Scene) -> Step:
    expires = now() + timedelta(days=30)
    return lambda: ring_of_ours(scene.store, expires)


async def current(scene: Scene) -> Step:
    return lambda: scene.store.calls.current({CALL})


async def overdue(scene: Scene) -> Step:
    await ring_of_ours(scene.store, now() + timedelta(days=30))

    async def read() -> None:
        pages = [page async for page in scene.store.calls.overdue(now() + timedelta(minutes=1))]
        assert [len(page) for page in pages] == [1]

    return read


async def note_silent(scene: Scene) -> Step:
    stored = await scene.call()
    overdue = Overdue(stored.call.id, stored.version, stored.call)
    return lambda: scene.store.calls.note_silent(overdue)


async def born(scene: Scene) -> Step:
    return lambda: scene.store.calls.born(CALL, CALLER)


async def create_cancelled(scene: Scene) -> Step:
    call = Call(CALL, CALLER, RECEIVER, Status.CANCELLED)
    expires = now() + timedelta(days=30)
    return lambda: scene.store.calls.create_cancelled(call, now=now(), expires=expires)


async def forestall(scene: Scene) -> Step:
    return lambda: scene.store.calls.forestall(CALL, CALLER, now())


async def forestall_again(scene: Scene) -> Step:
    await scene.store.calls.forestall(CALL, CALLER, now())
    return lambda: scene.store.calls.forestall(CALL, CALLER, now())


async def forestall_much_later(scene: Scene) -> Step:
    await scene.store.calls.forestall(CALL, CALLER, now() - timedelta(minutes=2))
    return lambda: scene.store.calls.forestall(CALL, CALLER, now())


async def of_user(scene: Scene) -> Step:
    return lambda: scene.store.calls.of(CALLER, (Status.RINGING, Status.ACCEPTED))


async def mentions(scene: Scene) -> Step:
    return lambda: scene.store.calls.mentions(CALLER)


async def pseudonymise(scene: Scene) -> Step:
    await scene.call()
    found = await scene.store.calls.mentions(CALLER)
    return lambda: scene.store.calls.pseudonymise(found, UserId("erased-1"))


async def pseudonymise_what_changed(scene: Scene) -> Step:
    for call in (CallId("CALL_1"), CallId("CALL_2")):
        await scene.world.ring(call)
    found = await scene.store.calls.mentions(CALLER)
    await scene.world.ring(CallId("CALL_2"), "accepted")
    return lambda: scene.store.calls.pseudonymise(found, UserId("erased-1"))


async def pseudonymise_nothing(scene: Scene) -> Step:
    return lambda: scene.store.calls.pseudonymise([], UserId("erased-1"))


async def warm_up(scene: Scene) -> Step:
    return scene.store.calls.warm_up


async def get_connection(scene: Scene) -> Step:
    return lambda: scene.store.connections.get(GONE, now())


async def connections_of(scene: Scene) -> Step:
    return lambda: scene.store.connections.of([CALLER, RECEIVER], now())


async def add(scene: Scene) -> Step:
    return lambda: connect(scene.store, "1=", RECEIVER)


async def add_what_was_closed(scene: Scene) -> Step:
    await scene.store.connections.close(GONE, now())
    return lambda: connect(scene.store, GONE, RECEIVER)


async def note_opened(scene: Scene) -> Step:
    connection = await scene.connection()
    return lambda: scene.store.connections.note_opened(connection.id)


async def admit(scene: Scene) -> Step:
    connection = await scene.connection()
    return lambda: scene.store.connections.admit(connection, Identified(CALLER), now(), now())


async def move(scene: Scene) -> Step:
    connection = await scene.connection()
    return lambda: scene.store.connections.move(replace(connection, namespace="/user"))


async def leave(scene: Scene) -> Step:
    connection = await scene.connection()
    return lambda: scene.store.connections.leave(connection, now(), now())


async def leave_what_changed(scene: Scene) -> Step:
    connection = await scene.connection()
    await scene.store.connections.note_opened(connection.id)
    return lambda: scene.store.connections.leave(connection, now(), now())


async def close(scene: Scene) -> Step:
    return lambda: scene.store.connections.close(GONE, now())


async def unadmitted(scene: Scene) -> Step:
    await scene.connection()
    return lambda: scene.store.connections.unadmitted(now())


async def turn_away(scene: Scene) -> Step:
    connection = await scene.connection()
    return lambda: scene.store.connections.turn_away(connection, now(), now())


async def naming(scene: Scene) -> Step:
    async def read() -> None:
        async for _ in scene.store.connections.naming(CALLER):
            pass

    return read


async def remove_connections(scene: Scene) -> Step:
    found = [await scene.connection("1="), await scene.connection("2=")]
    return lambda: scene.store.connections.remove(found)


async def remove_connections_that_changed(scene: Scene) -> Step:
    found = [await scene.connection("1="), await scene.connection("2=")]
    await scene.store.connections.note_opened(found[0].id)
    return lambda: scene.store.connections.remove(found)


async def remove_sessions(scene: Scene) -> Step:
    found = [(await begin(scene.store, id=ConnectionId(f"poll-{n}"))).connection for n in (1, 2)]
    return lambda: scene.store.connections.remove(found)


async def remove_sessions_of_which_one_changed(scene: Scene) -> Step:
    found = [(await begin(scene.store, id=ConnectionId(f"poll-{n}"))).connection for n in (1, 2)]
    await scene.store.connections.note_opened(found[0].id)
    return lambda: scene.store.connections.remove(found)


async def remove_many_connections(scene: Scene) -> Step:
    found = [await scene.connection(f"{number}=") for number in range(151)]
    return lambda: scene.store.connections.remove(found)


async def remove_no_connections(scene: Scene) -> Step:
    return lambda: scene.store.connections.remove([])


async def devices_of(scene: Scene) -> Step:
    return lambda: scene.store.devices.of([CALLER, RECEIVER], now())


async def register_device(scene: Scene) -> Step:
    return lambda: scene.store.devices.register(
        RECEIVER, FcmToken("T"), Platform.IOS, now(), now() + timedelta(hours=1)
    )


async def unregister(scene: Scene) -> Step:
    device = await scene.device()
    return lambda: scene.store.devices.unregister(RECEIVER, device.id)


async def unregister_anothers(scene: Scene) -> Step:
    device = await scene.device()
    return lambda: scene.store.devices.unregister(CALLER, device.id)


async def remove_all_devices(scene: Scene) -> Step:
    await scene.device()
    return lambda: scene.store.devices.remove_all(RECEIVER)


async def remove_no_devices(scene: Scene) -> Step:
    return lambda: scene.store.devices.remove_all(RECEIVER)


async def forget(scene: Scene) -> Step:
    device = await scene.device()
    return lambda: scene.store.devices.forget(device)


async def entry(scene: Scene) -> Step:
    made = event()
    return lambda: scene.store.outbox.entry(CALL, made.signal_id)


async def known(scene: Scene) -> Step:
    made = event()
    return lambda: scene.store.outbox.known(made)


async def missed(scene: Scene) -> Step:
    return lambda: scene.store.outbox.missed(RECEIVER, now())


async def waiting(scene: Scene) -> Step:
    async def read() -> None:
        async for _ in scene.store.outbox.pending(now()):
            pass

    return read


async def claim(scene: Scene) -> Step:
    entry = await scene.entry()
    return lambda: scene.store.outbox.claim(entry, MessageId("1"), now())


async def note_served(scene: Scene) -> Step:
    entry, dead = await scene.entry(), await scene.connection()
    return lambda: scene.store.outbox.note_served(
        entry.event, [GONE], now(), is_done=True, dead=[dead]
    )


async def note_served_on_what_is_gone(scene: Scene) -> Step:
    return lambda: scene.store.outbox.note_served(event(), [GONE], now(), is_done=True)


async def note_served_on_what_is_gone_with_the_dead(scene: Scene) -> Step:
    dead = await scene.connection()
    return lambda: scene.store.outbox.note_served(event(), [], now(), is_done=True, dead=[dead])


async def note_nothing_served(scene: Scene) -> Step:
    return lambda: scene.store.outbox.note_served(event(), [], now(), is_done=False)


async def note_pushed(scene: Scene) -> Step:
    entry, device = await scene.entry(), await scene.device()
    return lambda: scene.store.outbox.note_pushed(entry.event, [device])


async def note_nothing_pushed(scene: Scene) -> Step:
    return lambda: scene.store.outbox.note_pushed(event(), [])


async def note_caught_up(scene: Scene) -> Step:
    entries = [await scene.entry(), await scene.entry()]
    events = [entry.event for entry in entries]
    return lambda: scene.store.outbox.note_caught_up(events, GONE)


async def note_caught_up_with_what_is_gone(scene: Scene) -> Step:
    entry = await scene.entry()
    return lambda: scene.store.outbox.note_caught_up([entry.event, event()], GONE)


async def note_nothing_caught_up(scene: Scene) -> Step:
    return lambda: scene.store.outbox.note_caught_up([], GONE)


async def remove_for(scene: Scene) -> Step:
    await scene.entry()
    return lambda: scene.store.outbox.remove_for(RECEIVER)


async def remove_for_nobody(scene: Scene) -> Step:
    return lambda: scene.store.outbox.remove_for(RECEIVER)


async def remove(scene: Scene) -> Step:
    found = await scene.unreadable()
    return lambda: scene.store.outbox.remove(found)


async def begin_session(scene: Scene) -> Step:
    return lambda: scene.store.polls.begin(session_of(RECEIVER))


async def get_poll(scene: Scene) -> Step:
    return lambda: scene.store.polls.get(SESSION)


async def get_session(scene: Scene) -> Step:
    await begin(scene.store)
    return lambda: scene.store.polls.session(SESSION, now())


async def add_packets(scene: Scene) -> Step:
    await begin(scene.store)
    return lambda: scene.store.polls.add(SESSION, ["a", "b"])


async def add_packets_to_what_is_gone(scene: Scene) -> Step:
    return lambda: scene.store.polls.add(SESSION, ["a", "b"])


async def take_packets(scene: Scene) -> Step:
    session = await begin(scene.store, "a", "b")
    return lambda: scene.store.polls.take(session.poll, 1, "taker", None)


async def take_packets_and_renew(scene: Scene) -> Step:
    session = await begin(scene.store, "a", "b")
    return lambda: scene.store.polls.take(session.poll, 1, "taker", now())


async def take_packets_of_what_changed(scene: Scene) -> Step:
    session = await begin(scene.store, "a")
    await scene.store.polls.add(SESSION, ["b"])
    return lambda: scene.store.polls.take(session.poll, 1, "taker", now())


async def claim_session(scene: Scene) -> Step:
    session = await begin(scene.store)
    return lambda: scene.store.polls.claim(session.poll, socket_for(session))


async def claim_session_that_changed(scene: Scene) -> Step:
    session = await begin(scene.store)
    await scene.store.polls.add(SESSION, ["b"])
    return lambda: scene.store.polls.claim(session.poll, socket_for(session))


async def move_session(scene: Scene) -> Step:
    session, socket = await claimed(scene.store, await begin(scene.store, "a"))
    to = socket.taking_over(session.connection, "upgrade", now())
    return lambda: scene.store.polls.move(session, to, now())


async def move_session_that_changed(scene: Scene) -> Step:
    session, socket = await claimed(scene.store, await begin(scene.store, "a"))
    await scene.store.polls.add(SESSION, ["b"])
    to = socket.taking_over(session.connection, "upgrade", now())
    return lambda: scene.store.polls.move(session, to, now())


async def close_session(scene: Scene) -> Step:
    await begin(scene.store)
    return lambda: scene.store.polls.close(SESSION, now(), "1")


async def close_session_that_is_gone(scene: Scene) -> Step:
    return lambda: scene.store.polls.close(SESSION, now(), "1")


COSTS: list[tuple[str, Prepare, list[str]]] = [
    ("calls.load", load, ["BatchGetDocuments"]),
    ("calls.get", get_call, ["BatchGetDocuments"]),
    ("calls.reload", reload, ["BatchGetDocuments"]),
    ("calls.commit", commit, ["Commit"]),
    ("calls.create", create, ["Commit"]),
    ("calls.current", current, ["BatchGetDocuments"]),
    ("calls.born", born, ["BatchGetDocuments"]),
    ("calls.create_cancelled", create_cancelled, ["Commit"]),
    ("calls.forestall", forestall, ["Commit"]),
    ("calls.forestall", forestall_again, ["Commit", "BatchGetDocuments"]),
    ("calls.forestall", forestall_much_later, ["Commit", "BatchGetDocuments", "Commit"]),
    ("calls.of", of_user, ["RunQuery"]),
    ("calls.overdue", overdue, ["RunQuery"]),
    ("calls.note_silent", note_silent, ["Commit"]),
    ("calls.mentions", mentions, ["RunQuery"]),
    ("calls.pseudonymise", pseudonymise, ["Commit"]),
    ("calls.pseudonymise", pseudonymise_what_changed, ["Commit", "Commit", "Commit"]),
    ("calls.pseudonymise", pseudonymise_nothing, []),
    ("calls.warm_up", warm_up, ["BatchGetDocuments"]),
    ("connections.get", get_connection, ["BatchGetDocuments"]),
    ("connections.of", connections_of, ["RunQuery"]),
    ("connections.add", add, ["Commit"]),
    ("connections.add", add_what_was_closed, ["Commit", "BatchGetDocuments"]),
    ("connections.note_opened", note_opened, ["Commit"]),
    ("connections.admit", admit, ["Commit"]),
    ("connections.move", move, ["Commit"]),
    ("connections.leave", leave, ["Commit"]),
    ("connections.leave", leave_what_changed, ["Commit"]),
    ("connections.close", close, ["Commit"]),
    ("connections.unadmitted", unadmitted, ["RunQuery"]),
    ("connections.turn_away", turn_away, ["Commit"]),
    ("connections.naming", naming, ["RunQuery"]),
    ("connections.remove", remove_connections, ["Commit"]),
    ("connections.remove", remove_connections_that_changed, ["Commit", "Commit", "Commit"]),
    ("connections.remove", remove_sessions, ["Commit"]),
    ("connections.remove", remove_sessions_of_which_one_changed, ["Commit", "Commit", "Commit"]),
    ("connections.remove", remove_many_connections, ["Commit", "Commit"]),
    ("connections.remove", remove_no_connections, []),
    ("devices.of", devices_of, ["RunQuery"]),
    ("devices.register", register_device, ["Commit"]),
    ("devices.unregister", unregister, ["BatchGetDocuments", "Commit"]),
    ("devices.unregister", unregister_anothers, ["BatchGetDocuments"]),
    ("devices.remove_all", remove_all_devices, ["RunQuery", "Commit", "RunQuery"]),
    ("devices.remove_all", remove_no_devices, ["RunQuery"]),
    ("devices.forget", forget, ["Commit"]),
    ("outbox.entry", entry, ["BatchGetDocuments"]),
    ("outbox.known", known, ["BatchGetDocuments"]),
    ("outbox.missed", missed, ["RunQuery"]),
    ("outbox.pending", waiting, ["RunQuery"]),
    ("outbox.claim", claim, ["Commit"]),
    ("outbox.note_served", note_served, ["Commit"]),
    ("outbox.note_served", note_served_on_what_is_gone, ["Commit"]),
    ("outbox.note_served", note_served_on_what_is_gone_with_the_dead, ["Commit", "Commit"]),
    ("outbox.note_served", note_nothing_served, []),
    ("outbox.note_pushed", note_pushed, ["Commit"]),
    ("outbox.note_pushed", note_nothing_pushed, []),
    ("outbox.note_caught_up", note_caught_up, ["Commit"]),
    ("outbox.note_caught_up", note_caught_up_with_what_is_gone, ["Commit", "Commit", "Commit"]),
    ("outbox.note_caught_up", note_nothing_caught_up, []),
    ("outbox.remove_for", remove_for, ["RunQuery", "Commit"]),
    ("outbox.remove_for", remove_for_nobody, ["RunQuery"]),
    ("outbox.remove", remove, ["Commit"]),
    ("polls.begin", begin_session, ["Commit"]),
    ("polls.get", get_poll, ["BatchGetDocuments"]),
    ("polls.session", get_session, ["BatchGetDocuments"]),
    ("polls.add", add_packets, ["Commit"]),
    ("polls.add", add_packets_to_what_is_gone, ["Commit"]),
    ("polls.take", take_packets, ["Commit"]),
    ("polls.take", take_packets_and_renew, ["Commit"]),
    ("polls.take", take_packets_of_what_changed, ["Commit"]),
    ("polls.claim", claim_session, ["Commit"]),
    ("polls.claim", claim_session_that_changed, ["Commit"]),
    ("polls.move", move_session, ["Commit"]),
    ("polls.move", move_session_that_changed, ["Commit"]),
    ("polls.close", close_session, ["Commit"]),
    ("polls.close", close_session_that_is_gone, ["Commit"]),
]


@pytest.fixture
async def scenes(project: str) -> AsyncIterator[tuple[Scene, Scene]]:
    """One in memory and one on a Firestore."""
    services, journal = Services(), Journal()
    async with FirestoreServer(interceptors=[journal]) as server:
        yield (
            Scene(services.world, services.journal),
            Scene(firestore_world_at(server.address, project), journal),
        )


@pytest.mark.parametrize(
    ("prepared", "costs"),
    [pytest.param(step, costs, id=step.__name__) for _, step, costs in COSTS],
)
async def test_a_method_costs_the_same_in_memory_and_on_a_firestore(
    scenes: tuple[Scene, Scene],
    prepared: Prepare,
    costs: list[str],
) -> None:
    for scene in scenes:
        step = await prepared(scene)
        scene.journal.clear()
        await step()
        assert scene.journal.started == costs


def test_every_method_of_the_store_is_asked_what_it_costs() -> None:
    ports = get_type_hints(Store)
    methods = {
        f"{name}.{method}"
        for name, port in ports.items()
        for method, value in vars(port).items()
        if isfunction(value) and not method.startswith("_")
    }
    assert {method for method, _, _ in COSTS} == methods
