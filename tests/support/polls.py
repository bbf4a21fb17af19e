"""Sessions of clients that poll, as the store has them, to test with."""

from dataclasses import fields, replace
from datetime import timedelta

from functions.calls.call import ConnectionId, SignalId, UserId
from functions.clients.connection import BegunRing, Connection, Wire
from functions.clients.poll import SESSION_LASTS, Poll
from functions.clients.profile import Profile
from functions.ports.polls import Session
from functions.ports.store import Store
from tests.support.makers import CALL, CALLER, RECEIVER, now

SESSION = ConnectionId("poll-1")
SOCKET = ConnectionId("1=")  # that bears the session's sid


def session_of(user: UserId | None, id: ConnectionId = SESSION, wire: Wire = Wire.EIO4) -> Session:
    """A session that has just begun, and is not stored."""
    at = now()
    connection = Connection(id, user, wire, at, at + SESSION_LASTS, owner=user)
    ends = at + timedelta(hours=2)
    return Session(connection, Poll(id, wire, (), connection.expires_at, ends, proof="proof"))


async def begin(
    store: Store, *packets: str, user: UserId | None = RECEIVER, id: ConnectionId = SESSION
) -> Session:
    """A session for whose client these packets wait."""
    await store.polls.begin(session_of(user, id))
    if packets:
        assert await store.polls.add(id, packets)
    return await found(store, id)


async def found(store: Store, id: ConnectionId = SESSION) -> Session:
    """The session as it stands now."""
    session = await store.polls.session(id, now())
    assert session is not None
    return session


async def waiting(store: Store, id: ConnectionId = SESSION) -> list[str]:
    """The packets that wait."""
    poll = await store.polls.get(id)
    assert poll is not None
    return list(poll.packets)


def socket_for(session: Session, id: ConnectionId = SOCKET) -> Connection:
    """The connection of a WebSocket that bears the session's sid, not stored."""
    at, wire = now(), session.poll.wire
    return Connection(id, None, wire, at, at + timedelta(hours=2), upgrades=session.poll.id)


async def claimed(store: Store, session: Session) -> tuple[Session, Connection]:
    """The session, which now has a WebSocket too, and that."""
    socket = socket_for(session)
    assert await store.polls.claim(session.poll, socket)
    read = await store.connections.get(socket.id, now())
    assert read is not None
    return await found(store, session.poll.id), read


async def moved(store: Store, session: Session, upgrade_id: str = "upgrade") -> Connection:
    """The WebSocket's connection, once the session has been moved to it."""
    session, socket = await claimed(store, session)
    to = socket.taking_over(session.connection, upgrade_id, now() + timedelta(seconds=45))
    assert await store.polls.move(session, to, now())
    return replace(to, version=None)


def with_everything(id: ConnectionId = SESSION) -> Connection:
    """A connection that has something in each of its fields."""
    at = now()
    made = Connection(
        id=id,
        user=RECEIVER,
        wire=Wire.EIO3,
        connected_at=at - timedelta(seconds=9),
        expires_at=at + timedelta(seconds=51),
        is_open=False,
        shown_user=RECEIVER,
        shown_profile=Profile("Ann"),
        said_user="USR_9",
        refusal="the token is missing",
        namespace="/user",
        also_in={"/": at, "/agent": None},
        owner=RECEIVER,
        profile=Profile("Bob"),
        former_owner=CALLER,
        former_left_at=at - timedelta(seconds=8),
        admitted_at=at - timedelta(seconds=7),
        closed_at=at - timedelta(seconds=6),
        left_at=at - timedelta(seconds=5),
        admit_by=at + timedelta(seconds=4),
        device="phone 1",
        registration="registered 1",
        calling={CALL: BegunRing(SignalId("S"), at + timedelta(seconds=30))},
        only_call=CALL,
        upgrades=ConnectionId("poll-2"),
        upgraded_from=ConnectionId("poll-3"),
        upgraded_to=ConnectionId("3="),
        upgrade_id="an upgrade before",
        told_since=at - timedelta(seconds=3),
    )
    bare = Connection(id, None, Wire.JSON, at, at)
    names = {field.name for field in fields(made) if field.compare} - {"id"}
    assert not [name for name in names if getattr(made, name) == getattr(bare, name)]
    return made
