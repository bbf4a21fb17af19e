"""Calls in Firestore: read with a signal's connection, and changed with their outbox entry."""

from collections.abc import Iterable
from datetime import datetime

from google.cloud.firestore import SERVER_TIMESTAMP

from functions.calls.call import Call, CallId, ConnectionId, Status, UserId
from functions.calls.event import CallEvent, to_fields
from functions.ports.store import Loaded, Reloaded, StoredCall, StoreUnavailable
from functions.services.firestore.documents import (
    MalformedDocument,
    call_in,
    connection_in,
    entry_in,
    read_call,
)
from functions.services.firestore.remote import Documents, Snapshot
from functions.telemetry import Log

log = Log(__name__)


class FirestoreCalls:
    """The collection `calls`, whose documents the app's own backend creates."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def load(self, call: CallId, connection: ConnectionId, now: datetime) -> Loaded:
        """1 BatchGetDocuments."""
        came_by, stored = await self._documents.get(
            self._documents.at("connections", connection), self._documents.at("calls", call)
        )
        found = connection_in(came_by, now)
        return Loaded(found, _readable_to(stored, found.owner if found else None))

    async def reload(self, event: CallEvent, sender: UserId) -> Reloaded:
        """1 BatchGetDocuments. An outbox entry proves that the commit was done, as no other signal
        can have made it."""
        entry, stored = await self._documents.get(
            self._documents.entry(event.call_id, event.signal_id),
            self._documents.at("calls", event.call_id),
        )
        if not entry.exists:
            return Reloaded(is_ours=False, entry=None, call=_readable_to(stored, sender))
        return Reloaded(is_ours=True, entry=entry_in(entry), call=call_in(stored))

    async def commit(self, stored: StoredCall, event: CallEvent, by: UserId) -> None:
        """1 Commit. The library repeats a commit whose reply was lost, so a conflict may be with
        our own write; `reload` finds out."""
        entry = {
            "event": to_fields(event),
            "recipients": list(event.users),
            "pendingSince": SERVER_TIMESTAMP,
            "expiresAt": event.expires_at,
        }
        await self._documents.commit_if_unchanged(
            self._documents.at("calls", stored.call.id),
            stored.version,
            {
                "status": event.status.value,
                **_changed(event.status, event.decided_at, by),
                "reason": event.reason,
                "signalId": event.signal_id,
            },
            created=(self._documents.entry(event.call_id, event.signal_id), entry),
        )

    async def current(self, ids: Iterable[CallId]) -> dict[CallId, Call]:
        """1 BatchGetDocuments."""
        references = [self._documents.at("calls", id) for id in ids]
        found = map(call_in, await self._documents.get(*references))
        return {stored.call.id: stored.call for stored in found if stored}

    async def warm_up(self) -> None:
        """1 BatchGetDocuments, which opens the channel."""
        await self._documents.get(self._documents.at("calls", "warm-up"))


def _changed(status: Status, at: datetime, by: UserId) -> dict[str, object]:
    """The fields that say when and by whom the call was changed."""
    if status is Status.ACCEPTED:
        return {"answeredAt": at, "answeredBy": by}
    return {"endedAt": at, "endedBy": by}


def _readable_to(snapshot: Snapshot, reader: UserId | None) -> StoredCall | None:
    """The call, or None if it is not there. One that can't be read raises StoreUnavailable if
    `reader` is one of its parties. To all others it is None: they must not learn that it exists."""
    if not snapshot.exists:
        return None
    fields = snapshot.to_dict() or {}
    try:
        return read_call(snapshot.id, fields, snapshot.update_time)
    except MalformedDocument as error:
        if reader is None or reader not in (fields.get("callerId"), fields.get("receiverId")):
            log.error("malformed document", collection="calls", error=str(error))
            return None
        # Only its writer can mend the call, and until then no verdict on it would be true.
        raise StoreUnavailable(f"{snapshot.reference.path} is malformed: {error}") from error
