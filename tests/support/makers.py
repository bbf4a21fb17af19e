"""Calls, connections, devices and events to test with."""

import uuid
from datetime import UTC, datetime, timedelta

from google.cloud.firestore import AsyncClient

from functions.calls.call import Call, CallId, ConnectionId, SignalId, Status, UserId
from functions.calls.event import CallEvent
from functions.calls.signals import RULES, Signal
from functions.services.documents import Connection
from functions.services.firestore import Store
from functions.wire.frames import FcmToken, Platform, RegisterDevice, Wire

CALLER, RECEIVER = UserId("USR_1"), UserId("USR_2")
CALL = CallId("CALL_1")


def now() -> datetime:
    return datetime.now(UTC)


def signal(name: str = "call:cancel", call: CallId = CALL) -> Signal:
    return Signal(RULES[name], call, "Caller ended call")


def event(
    name: str = "call:cancel",
    *,
    decided: datetime | None = None,
    ttl: timedelta = timedelta(seconds=60),
    served: tuple[str, ...] | None = (),
    call: CallId = CALL,
) -> CallEvent:
    """An event as `gateway` publishes it; `served=None` makes it a republished copy."""
    ringing = Call(call, CALLER, RECEIVER, Status.RINGING)
    made = CallEvent.of(ringing, signal(name), SignalId(uuid.uuid4().hex), decided or now(), ttl)
    return made.served_to(None if served is None else map(ConnectionId, served))


async def ring(client: AsyncClient, call: CallId = CALL, status: str = "ringing") -> None:
    fields = {"callerId": CALLER, "receiverId": RECEIVER, "status": status}
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
        wire=wire,
        connected_at=connected,
        expires_at=connected + timedelta(hours=2),
        is_open=is_open,
        refusal=refusal,
    )
    await store.add_connection(connection)
    return connection


async def register(store: Store, token: str, user: UserId) -> None:
    device = RegisterDevice(FcmToken(token), Platform.ANDROID)
    await store.register_device(user, device, now(), now() + timedelta(days=1))


async def fields_of(client: AsyncClient, collection: str, id: str) -> dict[str, object] | None:
    snapshot = await client.collection(collection).document(id).get()
    fields: dict[str, object] | None = snapshot.to_dict()
    return fields


async def ids_in(client: AsyncClient, collection: str) -> set[str]:
    return {snapshot.id async for snapshot in client.collection(collection).stream()}
