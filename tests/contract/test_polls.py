"""What the core is promised of what waits for clients that poll: held of all three stores."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import cast

import pytest

from functions.calls.call import ConnectionId
from functions.calls.event import LONGEST_LIFE
from functions.clients.connection import Connection, Wire
from functions.clients.poll import SESSION_LASTS, Poll
from functions.ports.identity import Identified
from functions.ports.polls import Session
from functions.ports.store import Store
from infra.emulators.faults import Fault, Faults, FaultyRpcs, Kind
from infra.emulators.firestore import FirestoreServer
from tests.contract.world import FirestoreWorld, firestore_world_at
from tests.memory.services import Services
from tests.support.collections import CONNECTIONS, POLLS
from tests.support.loglines import logged
from tests.support.makers import CALLER, RECEIVER, fields_of, now
from tests.support.polls import (
    SESSION,
    SOCKET,
    begin,
    claimed,
    found,
    moved,
    session_of,
    socket_for,
    waiting,
    with_everything,
)
from tests.support.world import World

OTHER = ConnectionId("2=")


def unread(poll: Poll) -> Poll:
    """The same whether it was read or made."""
    packets, given = tuple(poll.packets), tuple(poll.given)
    return replace(poll, packets=packets, given=given, version=None)


async def connection(store: Store, id: ConnectionId = SESSION) -> Connection:
    read = await store.connections.get(id, now())
    assert read is not None
    return read


async def state(store: Store) -> object:
    """All that a session and the socket of its client are now."""
    poll = await store.polls.get(SESSION)
    connections = [await store.connections.get(id, now()) for id in (SESSION, SOCKET)]
    return poll and unread(poll), connections


# A session begins


@pytest.mark.parametrize("wire", [Wire.EIO3, Wire.EIO4])
async def test_a_session_is_read_as_it_was_begun(store: Store, wire: Wire) -> None:
    made = session_of(RECEIVER, wire=wire)
    await store.polls.begin(made)
    read = await found(store)
    assert read.connection == made.connection
    assert unread(read.poll) == made.poll
    assert await store.polls.get(SESSION) == read.poll
    assert await store.connections.of([RECEIVER], now()) == [made.connection]


@pytest.mark.parametrize("shown", [None, "a hash"])
async def test_a_session_keeps_what_its_client_shows_if_it_shows_anything(
    store: Store, shown: str | None
) -> None:
    made = session_of(RECEIVER)
    await store.polls.begin(replace(made, poll=replace(made.poll, shown=shown)))
    assert (await found(store)).poll.shown == shown


async def test_a_session_keeps_all_that_its_connection_has(store: Store) -> None:
    made = session_of(RECEIVER)
    everything = replace(made, connection=with_everything())
    await store.polls.begin(everything)
    assert (await found(store)).connection == everything.connection


async def test_what_is_waiting_at_the_beginning_is_kept(store: Store) -> None:
    made = session_of(RECEIVER)
    await store.polls.begin(replace(made, poll=replace(made.poll, packets=["a", "b", "a"])))
    assert await waiting(store) == ["a", "b", "a"]


async def test_a_session_is_there_only_with_both_of_its_parts(store: Store, world: World) -> None:
    assert await store.polls.get(SESSION) is None
    assert await store.polls.session(SESSION, now()) is None
    made = await begin(store)
    assert await store.polls.session(SESSION, made.connection.expires_at) is None
    await world.delete_connection(SESSION)
    assert await store.polls.session(SESSION, now()) is None
    assert await store.polls.get(SESSION) == made.poll


# What waits


async def test_what_waits_is_taken_in_the_order_in_which_it_came(store: Store) -> None:
    await begin(store)
    assert await store.polls.add(SESSION, ["a", "b"])
    assert await store.polls.add(SESSION, ["c"])
    assert await waiting(store) == ["a", "b", "c"]


async def test_of_two_packets_that_are_equal_both_wait(store: Store) -> None:
    await begin(store, "a", "a")
    assert await store.polls.add(SESSION, ["b", "a"])
    assert await store.polls.add(SESSION, ["a"])
    assert await waiting(store) == ["a", "a", "b", "a", "a"]


async def test_nothing_waits_for_whoever_has_no_session(store: Store, world: World) -> None:
    assert not await store.polls.add(SESSION, ["a"])
    assert not await store.polls.close(SESSION, now(), "1")
    assert await world.ids_in("polls") == set()


@pytest.mark.parametrize(
    ("count", "left"),
    [(1, ["a", "b", "a"]), (2, ["b", "a"]), (4, []), (0, ["a", "a", "b", "a"])],
)
async def test_of_what_waits_the_first_are_taken_and_the_rest_stays_in_order(
    store: Store, count: int, left: list[str]
) -> None:
    before = await begin(store, "a", "a", "b", "a")
    assert await store.polls.take(before.poll, count, "taker", None)
    after = await found(store)
    assert list(after.poll.packets) == left
    assert (after.poll.taken_by, [*after.poll.given, *left]) == ("taker", ["a", "a", "b", "a"])
    assert after.poll.expires_at == before.poll.expires_at
    assert after.connection == before.connection
    assert await store.polls.add(SESSION, ["b"])
    assert await waiting(store) == [*left, "b"]


@pytest.mark.parametrize("packets", [("a", "b"), ()])
async def test_a_poll_makes_the_session_last_in_both_of_its_documents(
    store: Store, packets: tuple[str, ...]
) -> None:
    before = await begin(store, *packets)
    until = before.poll.expires_at + timedelta(seconds=30)
    assert await store.polls.take(before.poll, 1, "taker", until)
    after = await found(store)
    assert after.connection == replace(before.connection, expires_at=until)
    assert unread(after.poll) == replace(
        unread(before.poll),
        packets=packets[1:],
        given=packets[:1],
        expires_at=until,
        taken_by="taker",
    )
    later = until - timedelta(seconds=1)
    assert await store.connections.of([RECEIVER], later) == [after.connection]


async def add_another(store: Store, session: Session) -> None:
    assert await store.polls.add(SESSION, ["another"])


async def take_first(store: Store, session: Session) -> None:
    assert await store.polls.take(session.poll, 1, "who was first", None)


async def close_session(store: Store, session: Session) -> None:
    assert await store.polls.close(SESSION, now(), "1")


async def claim_for_another(store: Store, session: Session) -> None:
    assert await store.polls.claim(session.poll, socket_for(session, OTHER))


async def move_to_another(store: Store, session: Session) -> None:
    upgraded, socket = await claimed(store, session)
    to = socket.taking_over(upgraded.connection, "upgrade", now())
    assert await store.polls.move(upgraded, to, now())


Deed = Callable[[Store, Session], Awaitable[None]]

DEEDS = pytest.mark.parametrize(
    "deed",
    [add_another, take_first, close_session, claim_for_another, move_to_another],
    ids=lambda deed: deed.__name__,
)


@DEEDS
@pytest.mark.parametrize("is_renewed", [False, True])
async def test_nothing_is_taken_of_what_has_changed_since_it_was_read(
    store: Store, deed: Deed, is_renewed: bool
) -> None:
    session = await begin(store, "a", "b")
    await deed(store, session)
    before = await state(store)
    until = now() + timedelta(seconds=99) if is_renewed else None
    assert not await store.polls.take(session.poll, 1, "taker", until)
    assert await state(store) == before


async def test_who_took_what_waited_is_told_from_who_came_too_late(store: Store) -> None:
    session = await begin(store, "a")
    assert session.poll.taken_by is None
    assert await store.polls.take(session.poll, 1, "first", None)
    assert not await store.polls.take(session.poll, 1, "late", None)
    taken = (await found(store)).poll
    assert (taken.taken_by, list(taken.given)) == ("first", ["a"])
    assert await store.polls.add(SESSION, ["b"])
    since = (await found(store)).poll
    assert (since.taken_by, list(since.given)) == ("first", ["a"])
    assert await store.polls.take(since, 1, "second", None)
    taken = (await found(store)).poll
    assert (taken.taken_by, list(taken.given)) == ("second", ["b"])


async def test_a_session_whose_connection_is_gone_is_not_renewed(
    store: Store, world: World
) -> None:
    session = await begin(store, "a")
    await world.delete_connection(SESSION)
    assert not await store.polls.take(session.poll, 1, "taker", now() + timedelta(seconds=99))
    assert await store.polls.get(SESSION) == session.poll
    assert await world.ids_in("connections") == set()


# A WebSocket that bears the session's id


async def test_a_claim_stores_the_sockets_connection_and_which_it_is(store: Store) -> None:
    session = await begin(store, "a")
    socket = socket_for(session)
    assert await store.polls.claim(session.poll, socket)
    assert await connection(store, SOCKET) == socket
    after = await found(store)
    assert unread(after.poll) == replace(unread(session.poll), upgraded_by=SOCKET)
    assert after.connection == session.connection
    assert await store.connections.of([RECEIVER], now()) == [session.connection]


@DEEDS
async def test_a_session_that_has_changed_since_it_was_read_is_not_claimed(
    store: Store, world: World, deed: Deed
) -> None:
    session = await begin(store, "a")
    await deed(store, session)
    before, known = await state(store), await world.ids_in("connections")
    late = replace(socket_for(session), id=ConnectionId("late="))
    assert not await store.polls.claim(session.poll, late)
    assert await state(store) == before
    assert await world.ids_in("connections") == known


async def test_a_second_claim_is_none(store: Store) -> None:
    session = await begin(store)
    socket = socket_for(session)
    assert await store.polls.claim(session.poll, socket)
    before = await state(store)
    assert not await store.polls.claim(session.poll, socket)
    assert not await store.polls.claim((await found(store)).poll, socket)
    assert await state(store) == before


async def test_a_socket_that_was_closed_before_its_claim_gets_no_session(
    store: Store, world: World
) -> None:
    session = await begin(store, "a")
    await store.connections.close(SOCKET, now())
    assert not await store.polls.claim(session.poll, socket_for(session))
    assert await found(store) == session
    assert await store.connections.get(SOCKET, now()) is None
    assert await world.ids_in("connections") == {SESSION, SOCKET}


# The session is moved to it


async def test_a_socket_that_takes_over_a_session_has_all_that_this_had(
    store: Store, world: World
) -> None:
    made = session_of(RECEIVER)
    everything = replace(with_everything(), upgrades=None, upgraded_to=None)
    await store.polls.begin(replace(made, connection=everything))
    session, socket = await claimed(store, await found(store))
    to = socket.taking_over(session.connection, "upgrade", now())
    at = now()
    assert await store.polls.move(session, to, at)
    read = await connection(store, SOCKET)
    assert read == to
    assert read.version
    assert read.version > (socket.version or read.version)
    assert (read.upgraded_from, read.upgrade_id) == (SESSION, "upgrade")
    assert read.told_since == session.connection.version
    # Of the session's own only this has not gone with it.
    assert (read.connected_at, read.expires_at) == (socket.connected_at, socket.expires_at)
    assert read.calling == everything.calling
    assert await world.ids_in("polls") == set()


async def test_a_socket_that_takes_over_a_session_has_nothing_that_this_had_not(
    store: Store,
) -> None:
    begun = await begin(store)
    by = replace(with_everything(SOCKET), upgrades=SESSION)
    assert await store.polls.claim(begun.poll, by)
    session, socket = await found(store), await connection(store, SOCKET)
    assert socket == by
    to = socket.taking_over(session.connection, "upgrade", now())
    assert await store.polls.move(session, to, now())
    assert await connection(store, SOCKET) == to
    assert (to.upgrades, to.device, to.closed_at) == (None, None, None)


@pytest.mark.parametrize("admit_by", [None, timedelta(seconds=45)])
async def test_a_session_that_was_moved_is_nobodys_and_keeps_its_owner(
    store: Store, world: World, admit_by: timedelta | None
) -> None:
    made, at = session_of(RECEIVER), now()
    due = at + admit_by if admit_by else None
    await store.polls.begin(replace(made, connection=replace(made.connection, admit_by=due)))
    session, socket = await claimed(store, await found(store))
    to = socket.taking_over(session.connection, "upgrade", at)
    assert await store.polls.move(session, to, at)
    assert await connection(store) == replace(
        session.connection,
        user=None,
        closed_at=at,
        expires_at=at + LONGEST_LIFE,  # whoever was to tell it by then finds where it went
        admit_by=None,
        upgraded_to=SOCKET,
    )
    assert (await connection(store)).owner == RECEIVER
    assert await store.connections.unadmitted(at + timedelta(hours=1)) == []
    assert await world.ids_in("connections") == {SESSION, SOCKET}


async def test_a_session_that_is_nobodys_is_moved_and_must_be_admitted(store: Store) -> None:
    session, socket = await claimed(store, await begin(store, user=None))
    due = now() + timedelta(seconds=45)
    assert await store.polls.move(
        session, socket.taking_over(session.connection, "upgrade", due), now()
    )
    read = await connection(store, SOCKET)
    assert (read.user, read.owner, read.admit_by) == (None, None, due)
    assert await store.connections.unadmitted(due) == [read]
    assert await store.connections.admit(read, Identified(CALLER), now(), read.expires_at)
    (told,) = await store.connections.of([CALLER], now())
    assert (told.id, told.upgraded_from) == (SOCKET, SESSION)


async def test_nothing_waits_for_a_session_that_was_moved(store: Store, world: World) -> None:
    session = await begin(store, "a")
    await moved(store, session)
    assert await store.polls.get(SESSION) is None
    assert await store.polls.session(SESSION, now()) is None
    before = await state(store)
    assert not await store.polls.add(SESSION, ["b"])
    assert not await store.polls.close(SESSION, now(), "1")
    assert await state(store) == before
    assert await world.ids_in("polls") == set()


async def change_session(store: Store, world: World) -> None:
    await store.connections.note_opened(SESSION)


async def change_socket(store: Store, world: World) -> None:
    await store.connections.note_opened(SOCKET)


async def close_socket(store: Store, world: World) -> None:
    await store.connections.close(SOCKET, now())


async def change_queue(store: Store, world: World) -> None:
    assert await store.polls.add(SESSION, ["another"])


async def end(store: Store, world: World) -> None:
    assert await store.polls.close(SESSION, now(), "1")


async def delete_session(store: Store, world: World) -> None:
    await world.delete_connection(SESSION)


async def delete_socket(store: Store, world: World) -> None:
    await world.delete_connection(SOCKET)


async def delete_all(store: Store, world: World) -> None:
    assert await store.connections.remove([await connection(store)]) == 1


CHANGES = [
    change_session,
    change_socket,
    close_socket,
    change_queue,
    end,
    delete_session,
    delete_socket,
    delete_all,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
async def test_nothing_is_moved_if_any_of_it_has_changed_since_it_was_read(
    store: Store, world: World, change: Callable[[Store, World], Awaitable[None]]
) -> None:
    session, socket = await claimed(store, await begin(store, "a"))
    await change(store, world)
    before, known = await state(store), await world.ids_in("connections")
    to = socket.taking_over(session.connection, "upgrade", now())
    assert not await store.polls.move(session, to, now())
    assert await state(store) == before
    assert await world.ids_in("connections") == known


async def test_a_user_is_told_by_the_session_or_by_the_socket_at_any_time(store: Store) -> None:
    session, socket = await claimed(store, await begin(store))
    to = socket.taking_over(session.connection, "upgrade", now())

    async def look() -> list[ConnectionId]:
        return [each.id for each in await store.connections.of([RECEIVER], now())]

    async def look_all_the_while() -> None:
        while not moving.done():
            assert await look() in ([SESSION], [SOCKET])

    assert await look() == [SESSION]
    moving = asyncio.create_task(store.polls.move(session, to, now()))
    is_moved, *_ = await asyncio.gather(moving, *(look_all_the_while() for _ in range(5)))
    assert is_moved
    assert await look() == [SOCKET]


# A session is ended


async def test_of_the_end_of_a_session_its_client_is_told_by_what_waits(store: Store) -> None:
    session, at = await begin(store, "a"), now() + timedelta(seconds=5)
    assert await store.polls.close(SESSION, at, "1")
    closed = await found(store)
    assert unread(closed.poll) == replace(
        unread(session.poll), packets=("a", "1"), is_closed=True, expires_at=at + SESSION_LASTS
    )
    assert closed.connection == session.connection
    assert await store.connections.of([RECEIVER], now()) == [session.connection]
    assert not closed.poll.is_over(at)
    assert await store.polls.take(closed.poll, 2, "taker", None)
    assert (await found(store)).poll.is_over(at)


# A Commit that was done, and whose reply was lost: it is sent again


@dataclass
class Faulty:
    """A store whose Commits may be done twice."""

    store: Store
    faults: Faults
    kind: Kind

    def repeat(self) -> Fault:
        """The next Commit."""
        return self.faults.arm(Fault(self.kind, "firestore.Commit"))


@pytest.fixture(params=["memory", "embedded"])
async def faulty(request: pytest.FixtureRequest, project: str) -> AsyncIterator[Faulty]:
    if request.param == "memory":
        services = Services()
        yield Faulty(services.store, services.faults, Kind.REPEAT)
        return
    faults = Faults()
    async with FirestoreServer(interceptors=[FaultyRpcs(faults, "firestore")]) as server:
        store = firestore_world_at(server.address, project).store
        yield Faulty(store, faults, Kind.LOSE_REPLY)


async def test_a_session_that_is_begun_twice_begins_once(faulty: Faulty) -> None:
    repeated, made = faulty.repeat(), session_of(RECEIVER)
    await faulty.store.polls.begin(made)
    assert repeated.met
    read = await found(faulty.store)
    assert (read.connection, unread(read.poll)) == (made.connection, made.poll)


async def test_packets_that_are_added_twice_wait_once(faulty: Faulty) -> None:
    await begin(faulty.store, "a")
    repeated = faulty.repeat()
    assert await faulty.store.polls.add(SESSION, ["b", "a", "b"])
    assert repeated.met
    assert await waiting(faulty.store) == ["a", "b", "a", "b"]


@pytest.mark.parametrize("is_renewed", [False, True])
async def test_who_takes_twice_has_taken_once_and_is_named(
    faulty: Faulty, is_renewed: bool
) -> None:
    session = await begin(faulty.store, "a", "b", "c")
    until = now() + timedelta(seconds=99) if is_renewed else None
    repeated = faulty.repeat()
    assert not await faulty.store.polls.take(session.poll, 1, "taker", until)
    assert repeated.met
    after = await found(faulty.store)
    assert (after.poll.taken_by, list(after.poll.given)) == ("taker", ["a"])
    assert list(after.poll.packets) == ["b", "c"]
    expires = until or session.poll.expires_at
    assert (after.poll.expires_at, after.connection.expires_at) == (expires, expires)


async def test_who_claims_twice_has_claimed_once_and_is_named(faulty: Faulty) -> None:
    session = await begin(faulty.store, "a")
    repeated, socket = faulty.repeat(), socket_for(session)
    assert not await faulty.store.polls.claim(session.poll, socket)
    assert repeated.met
    after = await found(faulty.store)
    assert unread(after.poll) == replace(unread(session.poll), upgraded_by=SOCKET)
    assert await connection(faulty.store, SOCKET) == socket


async def test_who_moves_twice_has_moved_once_and_is_named(faulty: Faulty) -> None:
    session, socket = await claimed(faulty.store, await begin(faulty.store, "a"))
    to = socket.taking_over(session.connection, "this upgrade", now())
    repeated = faulty.repeat()
    assert not await faulty.store.polls.move(session, to, now())
    assert repeated.met
    read = await connection(faulty.store, SOCKET)
    assert (read, read.upgrade_id) == (to, "this upgrade")
    assert await faulty.store.connections.of([RECEIVER], now()) == [to]
    assert (await connection(faulty.store)).upgraded_to == SOCKET
    assert await faulty.store.polls.get(SESSION) is None


async def test_of_an_end_that_is_written_twice_the_client_is_told_once(faulty: Faulty) -> None:
    await begin(faulty.store, "a")
    repeated = faulty.repeat()
    assert await faulty.store.polls.close(SESSION, now(), "1")
    assert repeated.met
    after = await found(faulty.store)
    assert (list(after.poll.packets), after.poll.is_closed) == (["a", "1"], True)


# What only a Firestore has


async def test_a_session_is_written_without_what_its_client_shows(
    documents: FirestoreWorld,
) -> None:
    session = await begin(documents.store, "a")
    written = await fields_of(documents.client, "polls", SESSION)
    assert written is not None
    (packet,) = cast("list[dict[str, str]]", written.pop("packets"))
    assert (packet.pop("packet"), list(packet)) == ("a", ["id"])
    assert written == {
        "wire": "eio4",
        "expiresAt": session.poll.expires_at,
        "endsAt": session.poll.ends_at,
        "proof": "proof",
    }


async def test_a_session_that_was_moved_leaves_nothing_that_is_not_in_use(
    documents: FirestoreWorld,
) -> None:
    session = await begin(documents.store)
    to = await moved(documents.store, session)
    kept = await fields_of(documents.client, "connections", SESSION)
    assert kept is not None
    assert set(kept) == {
        *("owner", "wire", "connectedAt", "expiresAt", "closedAt", "upgradedTo"),
    }
    assert await fields_of(documents.client, "connections", SOCKET) == {
        "owner": RECEIVER,
        "userId": RECEIVER,
        "wire": "eio4",
        "connectedAt": to.connected_at,
        "expiresAt": to.expires_at,
        "upgradedFrom": SESSION,
        "upgradeId": "upgrade",
        "toldSince": session.connection.version,
    }


ODD: list[tuple[str, object]] = [
    *((name, odd) for name in ("wire", "expiresAt", "endsAt", "proof") for odd in (None, 7)),
    ("wire", "eio5"),
    ("proof", ""),
    *(("packets", odd) for odd in (7, "a", None, {"packet": "a"})),
    *(("packets", [odd]) for odd in ("a", {}, {"packet": 7})),
]


@pytest.mark.parametrize(("name", "odd"), ODD)
async def test_a_session_that_nobody_can_read_is_none_and_is_logged(
    documents: FirestoreWorld, name: str, odd: object
) -> None:
    await begin(documents.store, "a")
    await documents.client.collection(POLLS).document(SESSION).update({name: odd})
    with logged() as lines:
        assert await documents.store.polls.get(SESSION) is None
        assert await documents.store.polls.session(SESSION, now()) is None
    assert len(lines()) == 2
    for line in lines():
        assert (line["message"], line["collection"]) == ("malformed document", "unring_polls")
        assert str(line["error"]).startswith(name if name != "packets" else "packet")


@pytest.mark.parametrize("odd", [None, 7, [7], {"packet": "a"}])
async def test_what_need_not_be_known_of_a_session_is_none_where_it_makes_no_sense(
    documents: FirestoreWorld, odd: object
) -> None:
    session = await begin(documents.store, "a")
    noted = dict.fromkeys(("shown", "upgradedBy", "isClosed", "takenBy", "given"), odd)
    await documents.client.collection(POLLS).document(SESSION).update(noted)
    read = await documents.store.polls.get(SESSION)
    assert read is not None
    assert unread(read) == unread(session.poll)


async def test_a_session_whose_connection_nobody_can_read_is_none(
    documents: FirestoreWorld,
) -> None:
    await begin(documents.store)
    reference = documents.client.collection(CONNECTIONS).document(SESSION)
    await reference.update({"wire": 7})
    with logged() as lines:
        assert await documents.store.polls.session(SESSION, now()) is None
    (line,) = lines()
    assert line["collection"] == "unring_connections"
