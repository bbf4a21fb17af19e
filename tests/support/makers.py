"""Calls, connections, devices and events to test with."""

import uuid
from datetime import UTC, datetime, timedelta

from google.cloud.firestore import AsyncClient

from functions.attempt import Attempt, MessageId
from functions.calls.call import Call, CallId, ConnectionId, Party, SignalId, Status, UserId
from functions.calls.event import CallEvent
from functions.calls.transitions import Signal, transitions_of
from functions.clients.connection import Connection, Wire
from functions.clients.device import FcmToken, Platform
from functions.ports.store import Store

CALLER, RECEIVER = UserId("USR_1"), UserId("USR_2")
CALL = CallId("CALL_1")
FIRST = Attempt(MessageId("1"), number=1)
AGAIN = Attempt(MessageId("1"), number=2)
OTHER = Attempt(MessageId("2"), number=1)  # of another copy


def now() -> datetime:
    return datetime.now(UTC)


def signal(name: str = "call:cancel", call: CallId = CALL) -> Signal:
    return Signal(name, call, "Caller ended call")


def event(
    name: str = "call:cancel",
    *,
    decided: datetime | None = None,
    served: tuple[str, ...] | None = (),
    call: CallId = CALL,
    caller: UserId = CALLER,
    receiver: UserId = RECEIVER,
) -> CallEvent:
    """An event as `gateway` publishes it; `served=None` makes it a republished copy."""
    ringing = Call(call, caller, receiver, Status.RINGING)
    (row,) = transitions_of(name)
    sender = caller if Party.CALLER in row.senders else receiver
    signal_id = SignalId(uuid.uuid4().hex)
    made = CallEvent.of(ringing, row, signal(name, call), sender, signal_id, decided or now())
    return made.served_to(None if served is None else map(ConnectionId, served))


async def ring(
    client: AsyncClient, call: CallId = CALL, status: str = "ringing", **more: object
) -> None:
    fields = {"callerId": CALLER, "receiverId": RECEIVER, "status": status, **more}
    await client.collection("calls").document(call).set(fields)


async def connect(
    store: Store,
    id: str,
    user: UserId | None,
    connected: datetime | None = None,
    *,
    wire: Wire = Wire.JSON,
    is_open: bool = True,
    refusal: str | None = None,
) -> Connection:
    """A connection, by default a JSON client's that has been open for a minute."""
    connected = connected or now() - timedelta(minutes=1)
    connection = Connection(
        id=ConnectionId(id),
        user=user,
        owner=user,
        wire=wire,
        connected_at=connected,
        expires_at=connected + timedelta(hours=2),
        is_open=is_open,
        refusal=refusal,
    )
    await store.connections.add(connection)
    return connection


async def register(store: Store, token: str, user: UserId) -> None:
    expires = now() + timedelta(days=1)
    await store.devices.register(user, FcmToken(token), Platform.ANDROID, now(), expires)


async def committed(store: Store, client: AsyncClient, made: CallEvent) -> CallEvent:
    """Puts the event into the outbox, as the commit of the signal that causes it does."""
    await ring(client, made.call_id)
    loaded = await store.calls.load(made.call_id, ConnectionId("nobody="), now())
    assert loaded.call
    await store.calls.commit(
        loaded.call, made, by=CALLER if made.status is Status.CANCELLED else RECEIVER
    )
    return made


async def pend(client: AsyncClient, made: CallEvent, since: datetime) -> None:
    """Makes the event's entry older than it is."""
    entry = client.collection("outbox").document(f"{made.call_id}:{made.signal_id}")
    await entry.update({"pendingSince": since})


async def pending_calls(client: AsyncClient) -> set[str]:
    """The calls of which an event is not known to have reached all it could."""
    entries = [entry async for entry in client.collection("outbox").stream()]
    return {
        entry.id.rpartition(":")[0]
        for entry in entries
        if "pendingSince" in (entry.to_dict() or {})
    }


async def fields_of(client: AsyncClient, collection: str, id: str) -> dict[str, object] | None:
    snapshot = await client.collection(collection).document(id).get()
    fields: dict[str, object] | None = snapshot.to_dict()
    return fields


async def ids_in(client: AsyncClient, collection: str) -> set[str]:
    return {snapshot.id async for snapshot in client.collection(collection).stream()}
