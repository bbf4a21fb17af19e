"""Calls, connections, devices and events to test with."""

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from functions.attempt import Attempt, MessageId
from functions.calls.call import (
    NOBODYS,
    Actor,
    Call,
    CallId,
    ConnectionId,
    Party,
    SignalId,
    UserId,
)
from functions.calls.event import CallEvent
from functions.calls.ring import Ring
from functions.calls.transitions import PushPolicy, Signal, transitions_of
from functions.clients.connection import Connection, Wire
from functions.clients.device import FcmToken, Platform
from functions.collections import USUAL
from functions.dialect import dialect
from functions.ports.store import Store
from functions.services.ring_tokens import SignedRingTokens
from functions.wire.codecs import Codecs
from functions.wire.push import Sending
from tests.memory.clock import PlayedTime
from tests.support.collections import OUTBOX
from tests.support.processes import RING_TOKEN_SECRET

if TYPE_CHECKING:  # which takes long to import
    from google.cloud.firestore import AsyncClient

CALLER, RECEIVER = UserId("USR_1"), UserId("USR_2")
CALL = CallId("CALL_1")
FIRST = Attempt(MessageId("1"), number=1)
AGAIN = Attempt(MessageId("1"), number=2)
OTHER = Attempt(MessageId("2"), number=1)  # of another copy
CODECS = Codecs(dialect.USUAL)
SENDING = Sending(datetime(2026, 1, 2, tzinfo=UTC), "ring.x")
RING_TOKENS = SignedRingTokens(RING_TOKEN_SECRET)


def now() -> datetime:
    """The time; on a loop that plays it, as that has it."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return datetime.now(UTC)
    return loop.now() if isinstance(loop, PlayedTime) else datetime.now(UTC)


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
    pushes: PushPolicy | None = None,
    by: Actor = NOBODYS,
) -> CallEvent:
    """An event as `gateway` publishes it; `served=None` makes it a republished copy."""
    row = next(transitions_of(name))
    before = Call(call, caller, receiver, row.from_status)
    sender = caller if Party.CALLER in row.senders else receiver
    signal_id = SignalId(uuid.uuid4().hex)
    asked = replace(signal(name, call), by=by)
    made = CallEvent.of(
        before, row, asked, sender, signal_id, decided or now(), pushes or PushPolicy()
    )
    return made.served_to(None if served is None else map(ConnectionId, served))


async def ring_of_ours(store: Store, expires: datetime) -> Call:
    """A call that a backend has created by `api`, and that rings."""
    signal_id = SignalId(uuid.uuid4().hex)
    ring = Ring(CALL, CALLER, RECEIVER, 30, '{"a":1}', is_told=True)
    call = ring.begun(signal_id, now(), None)
    made = CallEvent.of_ring(call, signal_id, now())
    await store.calls.create(call, made, now=now(), expires=expires)
    return call


async def connect(
    store: Store,
    id: str,
    user: UserId | None,
    connected: datetime | None = None,
    *,
    wire: Wire = Wire.JSON,
    is_open: bool = True,
    refusal: str | None = None,
    shown: UserId | None = None,
    only_call: CallId | None = None,
    device: str | None = None,
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
        shown_user=shown,
        only_call=only_call,
        device=device,
    )
    await store.connections.add(connection)
    return connection


def socketio_connections(wire: Wire) -> list[Connection]:
    """Connections of one id, as their handshakes make them: with a bad token, with that of
    somebody else, and with a good one."""
    connected = now()
    return [
        Connection(
            id=ConnectionId("1="),
            user=user,
            owner=user,
            wire=wire,
            connected_at=connected,
            expires_at=connected + timedelta(hours=2),
            is_open=False,
            said_user=said,
            refusal=refusal,
        )
        for user, said, refusal in (
            (None, None, "the token is missing"),
            (None, "USR_9", "userId is not the token's"),
            (RECEIVER, RECEIVER, None),
        )
    ]


async def register(store: Store, token: str, user: UserId) -> None:
    expires = now() + timedelta(days=1)
    await store.devices.register(user, FcmToken(token), Platform.ANDROID, now(), expires)


async def pend(client: "AsyncClient", made: CallEvent, since: datetime) -> None:
    """Makes the event's entry older than it is."""
    entry = client.collection(OUTBOX).document(f"{made.call_id}:{made.signal_id}")
    await entry.update({"pendingSince": since})


async def fields_of(client: "AsyncClient", collection: str, id: str) -> dict[str, object] | None:
    snapshot = await client.collection(USUAL.named(collection)).document(id).get()
    fields: dict[str, object] | None = snapshot.to_dict()
    return fields


async def ids_in(client: "AsyncClient", collection: str) -> set[str]:
    return {snapshot.id async for snapshot in client.collection(USUAL.named(collection)).stream()}
