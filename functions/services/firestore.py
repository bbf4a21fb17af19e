"""Firestore: calls, connections and devices, in as few remote calls as they need."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.api_core import exceptions
from google.cloud.firestore import DELETE_FIELD, AsyncClient, AsyncQuery, FieldFilter

from functions.calls.call import CallId, ConnectionId, Status, UserId
from functions.calls.event import CallEvent
from functions.services.documents import (
    Connection,
    Device,
    Entry,
    MalformedDocument,
    Snapshot,
    StoredCall,
    call_in,
    connection_in,
    device_id,
    device_in,
    entry_in,
    read_call,
)
from functions.services.outbox import Outbox
from functions.services.remote import (
    Documents,
    StoreUnavailable,
    closed,
    conditional_write,
    remote_call,
)
from functions.services.rpc import LIMITS
from functions.settings import Settings
from functions.telemetry import Log
from functions.wire.frames import FcmToken, RegisterDevice

_UNREGISTER_TRIES = 3  # the device may register again at this moment

log = Log(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """All that is known of a signal's call and its sender."""

    sender: Connection | None
    call: StoredCall | None


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What became of a commit that failed, or that nobody answered."""

    is_ours: bool  # it was done, whatever became of the call since
    entry: Entry | None  # of our commit
    call: (
        StoredCall | None
    )  # as it stands now; None also where ours was done and nobody can read it


class Store:
    """Our documents. Every method raises StoreUnavailable when Firestore can't be reached."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._documents = Documents(client)
        self.outbox = Outbox(client)

    # The path of a signal

    async def load(self, sender: ConnectionId, call: CallId, now: datetime) -> Loaded:
        """1 BatchGetDocuments. A call that can't be read is a fault to its parties, and unknown to
        all others, who must not learn that it is there."""
        connection, stored = await self._documents.get(
            self._documents.at("connections", sender), self._documents.at("calls", call)
        )
        found = connection_in(connection, now)
        return Loaded(found, _call(stored, found.owner if found else None))

    async def reload(self, event: CallEvent, sender: UserId) -> Reloaded:
        """1 BatchGetDocuments, after a commit of `event` that may have been done all the same: the
        outbox entry, which no other signal could have made, proves it."""
        entry, stored = await self._documents.get(
            self.outbox.of(event), self._documents.at("calls", event.call_id)
        )
        if not entry.exists:
            return Reloaded(is_ours=False, entry=None, call=_call(stored, sender))
        return Reloaded(is_ours=True, entry=entry_in(entry), call=call_in(stored))

    async def commit(self, stored: StoredCall, event: CallEvent, by: UserId) -> None:
        """1 Commit: the call's new status and its outbox entry, both or neither.

        Raises StoreConflict when the call changed since `stored` was read. The library repeats a
        commit whose reply was lost, so the conflict may be with ourselves: `reload` tells.
        """
        batch = self._client.batch()
        batch.update(
            self._documents.at("calls", stored.call.id),
            {
                "status": event.status.value,
                **_changed(event.status, event.decided_at, by),
                "reason": event.reason,
                "signalId": event.signal_id,
            },
            self._client.write_option(last_update_time=stored.version),
        )
        self.outbox.create(batch, event)
        async with conditional_write():
            await batch.commit(**LIMITS)

    # Connections

    async def connection(self, id: ConnectionId, now: datetime) -> Connection | None:
        """1 BatchGetDocuments."""
        (snapshot,) = await self._documents.get(self._documents.at("connections", id))
        return connection_in(snapshot, now)

    async def add_connection(self, connection: Connection) -> bool:
        """1 Commit; where the document is there already, 1 BatchGetDocuments more.

        False if the client has gone: its `$disconnect` was handled before its `$connect`.
        """
        fields = {
            "owner": connection.owner,
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
        reference = self._documents.at("connections", connection.id)
        try:
            async with remote_call(exceptions.AlreadyExists):
                await reference.create(known, **LIMITS)
        except exceptions.AlreadyExists:
            # Ids are never used again. So this is a goodbye, or our own commit, which the library
            # repeats when its reply is lost.
            (snapshot,) = await self._documents.get(reference)
            return "closedAt" not in (snapshot.to_dict() or {})
        return True

    async def admit(
        self,
        connection: Connection,
        user: UserId,
        requested: datetime | None,
        expires: datetime,
    ) -> bool:
        """1 Commit: the connection is `user`'s, by a CONNECT that API Gateway got at `requested`.

        False if it is not as it was read: a goodbye may have come meanwhile.
        """
        return await self._change(
            connection,
            {
                "owner": user,
                "formerOwner": connection.owner or DELETE_FIELD,
                "userId": user,
                "isOpen": True,  # who can ask for it has had the open packet
                "admittedAt": requested or DELETE_FIELD,
                "closedAt": DELETE_FIELD,
                "leftAt": DELETE_FIELD,
                "expiresAt": expires,
            },
        )

    async def leave(
        self, connection: Connection, requested: datetime | None, now: datetime
    ) -> bool:
        """1 Commit: nobody is told by the connection any more, since a packet that API Gateway got
        at `requested`, or at about `now`. False if it is not as it was read."""
        return await self._change(connection, {**closed(now), "leftAt": requested or now})

    async def close(self, id: ConnectionId, now: datetime) -> None:
        """1 Commit: the socket is closed. The document stays for a minute, for the frames that were
        sent before and are handled after: it says whose they are."""
        async with remote_call():
            await self._documents.at("connections", id).set(closed(now), merge=True, **LIMITS)

    async def opened(self, id: ConnectionId) -> None:
        """1 Commit: the connection has had its open packet, unless it is not there any more."""
        await self._documents.update("connections", id, {"isOpen": True})

    async def connections_of(self, users: Collection[UserId], now: datetime) -> list[Connection]:
        """1 RunQuery, for at most 30 users."""
        snapshots = await self._documents.run(self._of_users("connections", users))
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

    async def devices_of(self, users: Collection[UserId], now: datetime) -> list[Device]:
        """1 RunQuery, for at most 30 users."""
        snapshots = await self._documents.run(self._of_users("devices", users))
        return [found for snapshot in snapshots if (found := device_in(snapshot, now))]

    async def forget_device(self, device: Device) -> None:
        """1 Commit. A device that registered again since `device` was read stays."""
        if not await self._documents.delete_unchanged(
            self._documents.at("devices", device.id), device.version
        ):
            log.info("a dead device changed, and stays")

    async def warm_up(self) -> None:
        """1 BatchGetDocuments, for the sake of the open channel."""
        await self._documents.get(self._documents.at("calls", "warm-up"))

    # Helpers

    def _of_users(self, collection: str, users: Collection[UserId]) -> AsyncQuery:
        is_theirs = FieldFilter("userId", "in", list(users))
        return self._client.collection(collection).where(filter=is_theirs)

    async def _change(self, connection: Connection, fields: dict[str, Any]) -> bool:
        assert connection.version is not None  # noqa: S101 - it was read
        return await self._documents.update_unchanged(
            self._documents.at("connections", connection.id), connection.version, fields
        )


def _changed(status: Status, at: datetime, by: UserId) -> dict[str, object]:
    if status is Status.ACCEPTED:
        return {"answeredAt": at, "answeredBy": by}
    return {"endedAt": at, "endedBy": by}


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
