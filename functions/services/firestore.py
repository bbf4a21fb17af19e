"""Firestore: calls, connections, devices and the outbox, in as few remote calls as they need."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from google.cloud.firestore import (
    DELETE_FIELD,
    AsyncClient,
    AsyncQuery,
    FieldFilter,
)

from functions.calls.call import CallId, ConnectionId, UserId
from functions.calls.event import CallEvent, to_fields
from functions.calls.signals import Signal
from functions.services.documents import (
    Connection,
    Device,
    MalformedDocument,
    MessageId,
    Pending,
    Snapshot,
    StoredCall,
    connection_in,
    device_id,
    device_in,
    event_in,
    pending_in,
    read_call,
)
from functions.services.remote import Documents, StoreUnavailable, conditional_write, remote_call
from functions.services.rpc import LIMITS
from functions.settings import Settings
from functions.telemetry import Log
from functions.wire.frames import FcmToken, RegisterDevice

_UNREGISTER_TRIES = 3  # a push may be marking the device at this moment

log = Log(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """All that is known of a signal's call and its sender."""

    sender: Connection | None
    call: StoredCall | None
    pending: CallEvent | None  # the call's event, as long as it isn't known to be delivered


class Store:
    """Our documents. Every method raises StoreUnavailable when Firestore can't be reached."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._documents = Documents(client)

    # The path of a signal

    async def load(self, sender: ConnectionId, call: CallId, now: datetime) -> Loaded:
        """1 BatchGetDocuments. A call that can't be read is a fault to its parties, and unknown to
        all others, who must not learn that it is there."""
        connection, stored, pending = await self._documents.get(
            self._documents.at("connections", sender),
            self._documents.at("calls", call),
            self._documents.at("outbox", call),
        )
        found = connection_in(connection, now)
        user = found.user if found else None
        return Loaded(found, _call(stored, user), event_in(pending))

    async def commit(self, stored: StoredCall, signal: Signal, event: CallEvent) -> None:
        """1 Commit: the call's new status and its outbox entry, both or neither.

        Raises StoreConflict when the call changed since `stored` was read. The library repeats a
        commit whose reply was lost, so the conflict may be with ourselves: `signal_id` tells.
        """
        batch = self._client.batch()
        batch.update(
            self._documents.at("calls", stored.call.id),
            {
                "status": signal.rule.to.value,
                "endedAt": event.decided_at,
                "endedBy": stored.call.user(signal.rule.sender),
                "reason": signal.reason,
                "signalId": event.signal_id,
            },
            self._client.write_option(last_update_time=stored.version),
        )
        batch.set(
            self._documents.at("outbox", event.call_id),
            {
                "event": to_fields(event),
                "createdAt": event.decided_at,
                "expiresAt": event.expires,
            },
        )
        async with conditional_write():
            await batch.commit(**LIMITS)

    # Connections

    async def connection(self, id: ConnectionId, now: datetime) -> Connection | None:
        """1 BatchGetDocuments."""
        (snapshot,) = await self._documents.get(self._documents.at("connections", id))
        return connection_in(snapshot, now)

    async def add_connection(self, connection: Connection) -> None:
        """1 Commit."""
        fields = {
            "userId": connection.user,
            "wire": connection.wire.value,
            "connectedAt": connection.connected_at,
            "expiresAt": connection.expires_at,
            "isOpen": None if connection.is_open else False,
            "shownUserId": connection.shown_user,
            "claimedUserId": connection.claimed_user,
            "refusal": connection.refusal,
        }
        known = {name: value for name, value in fields.items() if value is not None}
        async with remote_call():
            await self._documents.at("connections", connection.id).set(known, **LIMITS)

    async def authenticate(self, id: ConnectionId, user: UserId) -> bool:
        """1 Commit: the connection is `user`'s. False if it is not there any more."""
        # Who can ask for it has had the open packet.
        return await self._documents.update("connections", id, {"userId": user, "isOpen": True})

    async def shut_out(self, id: ConnectionId) -> None:
        """1 Commit: the connection is nobody's."""
        await self._documents.update("connections", id, {"userId": DELETE_FIELD})

    async def opened(self, id: ConnectionId) -> None:
        """1 Commit: the connection has had its open packet, unless it is not there any more."""
        await self._documents.update("connections", id, {"isOpen": True})

    async def remove_connection(self, id: ConnectionId) -> None:
        """1 Commit."""
        async with remote_call():
            await self._documents.at("connections", id).delete(**LIMITS)

    async def connections_of(self, user: UserId, now: datetime) -> list[Connection]:
        """1 RunQuery."""
        snapshots = await self._documents.run(self._of_user("connections", user))
        return [found for snapshot in snapshots if (found := connection_in(snapshot, now))]

    # Devices

    async def register_device(
        self, user: UserId, device: RegisterDevice, now: datetime, expires: datetime
    ) -> None:
        """1 Commit. A token that another user had is this user's from now on."""
        fields = {
            "userId": user,
            "token": device.token,
            "platform": device.platform.value,
            "registeredAt": now,
            "expiresAt": expires,
        }
        async with remote_call():
            await self._documents.at("devices", device_id(device.token)).set(fields, **LIMITS)

    async def unregister_device(self, user: UserId, token: FcmToken) -> None:
        """1 BatchGetDocuments and, if the token is this user's, 1 Commit; again on a conflict."""
        for _ in range(_UNREGISTER_TRIES):
            (snapshot,) = await self._documents.get(self._documents.at("devices", device_id(token)))
            if (snapshot.to_dict() or {}).get("userId") != user:
                return
            if await self._documents.delete_unchanged(snapshot.reference, snapshot.update_time):
                return
        raise StoreUnavailable("the device keeps changing")

    async def devices_of(self, user: UserId, now: datetime) -> list[Device]:
        """1 RunQuery."""
        snapshots = await self._documents.run(self._of_user("devices", user))
        return [found for snapshot in snapshots if (found := device_in(snapshot, now))]

    async def forget_device(self, device: Device) -> None:
        """1 Commit. A device that registered again since `device` was read stays."""
        if not await self._documents.delete_unchanged(
            self._documents.at("devices", device.id), device.version
        ):
            log.info("a dead device changed, and stays")

    # Delivery

    async def pending(self, call: CallId) -> Pending | None:
        """1 BatchGetDocuments: the event of `call` that isn't known to be delivered."""
        (snapshot,) = await self._documents.get(self._documents.at("outbox", call))
        return pending_in(snapshot)

    async def claim(self, pending: Pending, claimant: MessageId, now: datetime) -> bool:
        """1 Commit: whether `claimant` has the entry now; somebody else may have been faster."""
        return await self._documents.update_unchanged(
            self._documents.at("outbox", pending.event.call_id),
            pending.version,
            {"claimedBy": claimant, "claimedAt": now},
        )

    async def all_pending(self, limit: int) -> list[CallEvent]:
        """1 RunQuery: what the outbox holds, oldest first."""
        query = self._client.collection("outbox").order_by("createdAt").limit(limit)
        return [
            event for snapshot in await self._documents.run(query) if (event := event_in(snapshot))
        ]

    async def delivered(self, event: CallEvent, gone: Iterable[Connection] = ()) -> None:
        """1 Commit: the event is done with, and the connections `gone` are dead."""
        batch = self._client.batch()
        batch.delete(self._documents.at("outbox", event.call_id))
        for connection in gone:
            batch.delete(self._documents.at("connections", connection.id))
        async with remote_call():
            await batch.commit(**LIMITS)

    async def partly_delivered(
        self,
        event: CallEvent,
        served: Sequence[Connection] | Sequence[Device],
        gone: Iterable[Connection] = (),
    ) -> None:
        """1 Commit each: who has the event, to be passed over next time, and who is dead.

        Each by itself, so that one that disconnected meanwhile does not undo the others.
        """
        await asyncio.gather(
            *(self._mark(target, event) for target in served),
            *(self.remove_connection(connection.id) for connection in gone),
        )

    async def warm_up(self) -> None:
        """1 BatchGetDocuments, for the sake of the open channel."""
        await self._documents.get(self._documents.at("calls", "warm-up"))

    # Helpers

    def _of_user(self, collection: str, user: UserId) -> AsyncQuery:
        return self._client.collection(collection).where(filter=FieldFilter("userId", "==", user))

    async def _mark(self, target: Connection | Device, event: CallEvent) -> None:
        collection = "devices" if isinstance(target, Device) else "connections"
        await self._documents.update(collection, target.id, {"servedSignal": event.signal_id})


def _call(snapshot: Snapshot, reader: UserId | None) -> StoredCall | None:
    if not snapshot.exists:
        return None
    fields = snapshot.to_dict() or {}
    try:
        return read_call(snapshot.id, fields, snapshot.update_time)
    except MalformedDocument as error:
        if reader is None or reader not in (fields.get("callerId"), fields.get("receiverId")):
            log.error("malformed document", collection="calls", error=str(error))
            return None
        # Not ours to mend, and no verdict would be true.
        raise StoreUnavailable(f"{snapshot.reference.path} is malformed: {error}") from error


def connect(settings: Settings) -> Store:
    """The documents of the project's default database; the library knows the emulator itself."""
    return Store(AsyncClient(project=settings.project))
