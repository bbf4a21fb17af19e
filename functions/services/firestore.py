"""Firestore: calls, connections, devices and the outbox, in as few remote calls as they need."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.api_core import exceptions
from google.cloud.firestore import (
    DELETE_FIELD,
    AsyncClient,
    AsyncDocumentReference,
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
    Snapshot,
    StoredCall,
    connection_in,
    device_id,
    device_in,
    event_in,
    read_call,
)
from functions.services.rpc import LIMITS
from functions.settings import Settings
from functions.telemetry import Log
from functions.wire.frames import FcmToken, RegisterDevice

_UNREGISTER_TRIES = 3  # a push may be marking the device at this moment

log = Log(__name__)


class StoreUnavailable(Exception):
    """Firestore gave no usable answer; a write may have happened all the same."""


class StoreConflict(Exception):
    """The document changed since it was read, and nothing was written."""


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

    # The path of a signal

    async def load(self, sender: ConnectionId, call: CallId, now: datetime) -> Loaded:
        """1 BatchGetDocuments."""
        connection, stored, pending = await self._get(
            self._document("connections", sender),
            self._document("calls", call),
            self._document("outbox", call),
        )
        return Loaded(connection_in(connection, now), _call(stored), event_in(pending))

    async def commit(self, stored: StoredCall, signal: Signal, event: CallEvent) -> None:
        """1 Commit: the call's new status and its outbox entry, both or neither.

        Raises StoreConflict when the call changed since `stored` was read. The library repeats a
        commit whose reply was lost, so the conflict may be with ourselves: `signal_id` tells.
        """
        batch = self._client.batch()
        batch.update(
            self._document("calls", stored.call.id),
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
            self._document("outbox", event.call_id),
            {
                "event": to_fields(event),
                "createdAt": event.decided_at,
                "expiresAt": event.expires,
            },
        )
        async with _conditional_write():
            await batch.commit(**LIMITS)

    # Connections

    async def connection(self, id: ConnectionId, now: datetime) -> Connection | None:
        """1 BatchGetDocuments."""
        (snapshot,) = await self._get(self._document("connections", id))
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
        async with _remote_call():
            await self._document("connections", connection.id).set(known, **LIMITS)

    async def authenticate(self, id: ConnectionId, user: UserId) -> bool:
        """1 Commit: the connection is `user`'s. False if it is not there any more."""
        # Who can ask for it has had the open packet.
        return await self._update("connections", id, {"userId": user, "isOpen": True})

    async def shut_out(self, id: ConnectionId) -> None:
        """1 Commit: the connection is nobody's."""
        await self._update("connections", id, {"userId": DELETE_FIELD})

    async def opened(self, id: ConnectionId) -> None:
        """1 Commit: the connection has had its open packet, unless it is not there any more."""
        await self._update("connections", id, {"isOpen": True})

    async def remove_connection(self, id: ConnectionId) -> None:
        """1 Commit."""
        async with _remote_call():
            await self._document("connections", id).delete(**LIMITS)

    async def connections_of(self, user: UserId, now: datetime) -> list[Connection]:
        """1 RunQuery."""
        snapshots = await self._run(self._of_user("connections", user))
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
        async with _remote_call():
            await self._document("devices", device_id(device.token)).set(fields, **LIMITS)

    async def unregister_device(self, user: UserId, token: FcmToken) -> None:
        """1 BatchGetDocuments and, if the token is this user's, 1 Commit; again on a conflict."""
        for _ in range(_UNREGISTER_TRIES):
            (snapshot,) = await self._get(self._document("devices", device_id(token)))
            if (snapshot.to_dict() or {}).get("userId") != user:
                return
            if await self._delete_unchanged(snapshot.reference, snapshot.update_time):
                return
        raise StoreUnavailable("the device keeps changing")

    async def devices_of(self, user: UserId, now: datetime) -> list[Device]:
        """1 RunQuery."""
        snapshots = await self._run(self._of_user("devices", user))
        return [found for snapshot in snapshots if (found := device_in(snapshot, now))]

    async def forget_device(self, device: Device) -> None:
        """1 Commit. A device that registered again since `device` was read stays."""
        if not await self._delete_unchanged(self._document("devices", device.id), device.version):
            log.info("a dead device changed, and stays")

    # Delivery

    async def pending(self, call: CallId) -> CallEvent | None:
        """1 BatchGetDocuments: the event of `call` that isn't known to be delivered."""
        (snapshot,) = await self._get(self._document("outbox", call))
        return event_in(snapshot)

    async def all_pending(self, limit: int) -> list[CallEvent]:
        """1 RunQuery: what the outbox holds, oldest first."""
        query = self._client.collection("outbox").order_by("createdAt").limit(limit)
        return [event for snapshot in await self._run(query) if (event := event_in(snapshot))]

    async def delivered(self, event: CallEvent, gone: Iterable[Connection] = ()) -> None:
        """1 Commit: the event is done with, and the connections `gone` are dead."""
        batch = self._client.batch()
        batch.delete(self._document("outbox", event.call_id))
        for connection in gone:
            batch.delete(self._document("connections", connection.id))
        async with _remote_call():
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
        await self._get(self._document("calls", "warm-up"))

    # Remote calls

    def _document(self, collection: str, id: str) -> AsyncDocumentReference:
        return self._client.collection(collection).document(id)

    def _of_user(self, collection: str, user: UserId) -> AsyncQuery:
        return self._client.collection(collection).where(filter=FieldFilter("userId", "==", user))

    async def _get(self, *references: AsyncDocumentReference) -> list[Snapshot]:
        """The documents in the order asked for; the service answers in any."""
        async with _remote_call():
            snapshots = [found async for found in self._client.get_all(list(references), **LIMITS)]
        by_path = {snapshot.reference.path: snapshot for snapshot in snapshots}
        return [by_path[reference.path] for reference in references]

    async def _run(self, query: AsyncQuery) -> list[Snapshot]:
        async with _remote_call():
            return [snapshot async for snapshot in query.stream(**LIMITS)]

    async def _mark(self, target: Connection | Device, event: CallEvent) -> None:
        collection = "devices" if isinstance(target, Device) else "connections"
        await self._update(collection, target.id, {"servedSignal": event.signal_id})

    async def _update(self, collection: str, id: str, fields: dict[str, object]) -> bool:
        """Whether it was there: what is deleted must not come back with these fields alone."""
        async with _remote_call():
            try:
                await self._document(collection, id).update(fields, **LIMITS)
            except exceptions.NotFound:
                return False
        return True

    async def _delete_unchanged(self, reference: AsyncDocumentReference, version: Any) -> bool:
        """Whether it was deleted; if not, it is not as it was read."""
        option = self._client.write_option(last_update_time=version)
        try:
            async with _conditional_write():
                await reference.delete(option, **LIMITS)
        except StoreConflict:
            return False
        return True


@asynccontextmanager
async def _remote_call() -> AsyncIterator[None]:
    """Turns the library's errors into ours."""
    try:
        yield
    except (exceptions.GoogleAPICallError, exceptions.RetryError) as error:
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error


@asynccontextmanager
async def _conditional_write() -> AsyncIterator[None]:
    """A remote call that writes only if the document is as it was read."""
    async with _remote_call():
        try:
            yield
        # Aborted: a transaction of somebody else's holds the document. Nothing is written either.
        except (
            exceptions.FailedPrecondition,
            exceptions.NotFound,
            exceptions.Aborted,
        ) as error:
            raise StoreConflict(str(error)) from error


def _call(snapshot: Snapshot) -> StoredCall | None:
    if not snapshot.exists:
        return None
    try:
        return read_call(snapshot.id, snapshot.to_dict() or {}, snapshot.update_time)
    except MalformedDocument as error:
        # Not ours to mend, and no verdict would be true.
        raise StoreUnavailable(f"{snapshot.reference.path} is malformed: {error}") from error


def connect(settings: Settings) -> Store:
    """The documents of the project's default database; the library knows the emulator itself."""
    return Store(AsyncClient(project=settings.project))
