"""Calls in Firestore: read with a signal's connection, and changed with their outbox entry."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime

from google.cloud.firestore import DELETE_FIELD, SERVER_TIMESTAMP, FieldFilter

from functions.calls.call import Call, CallId, ConnectionId, Status, UnreadableCall, UserId
from functions.calls.event import CallEvent, to_fields
from functions.dialect.dialect import Dialect
from functions.ports.store import Loaded, Mention, Reloaded, StoredCall
from functions.services.firestore.documents import (
    EXPIRES_AT,
    RINGS_UNTIL,
    call_in,
    connection_in,
    entry_in,
)
from functions.services.firestore.remote import PAGE, Change, Documents, Snapshot, Written

# What a call of ours has only while it rings.
_OF_THE_RING = ("ringsUntil", "ringSeconds", "data", RINGS_UNTIL)
_PARTIES = ("callerId", "receiverId")
_NAMING = (*_PARTIES, "answeredBy", "endedBy")  # the fields that may have a party's id
_HIS_DEVICE = ("answeredOn", "answeredOnRegistration")
# What the parties, or their app, had to say, and the fields of which one is there if it was we who
# wrote it. The app's own fields may have these names.
_SAID = {"reason": ("endedBy", "answeredBy", "signalId"), "data": (EXPIRES_AT,)}


class FirestoreCalls:
    """The collection `calls`, whose documents the app's own backend may create."""

    def __init__(self, documents: Documents, dialect: Dialect) -> None:
        self._documents = documents
        self._dialect = dialect

    async def load(self, call: CallId, connection: ConnectionId, now: datetime) -> Loaded:
        """1 BatchGetDocuments."""
        came_by, stored = await self._documents.get(
            self._documents.at("connections", connection), self._documents.at("calls", call)
        )
        return Loaded(connection_in(came_by, now), self._found(stored))

    async def get(self, call: CallId) -> StoredCall | UnreadableCall | None:
        """1 BatchGetDocuments."""
        (stored,) = await self._documents.get(self._documents.at("calls", call))
        return self._found(stored)

    async def reload(self, event: CallEvent) -> Reloaded:
        """1 BatchGetDocuments. An outbox entry proves that the commit was done, as no other signal
        can have made it."""
        entry, stored = await self._documents.get(
            self._documents.entry(event.call_id, event.signal_id),
            self._documents.at("calls", event.call_id),
        )
        return Reloaded(is_ours=entry.exists, entry=entry_in(entry), call=self._found(stored))

    async def commit(self, stored: StoredCall, event: CallEvent) -> None:
        """1 Commit. The library repeats a commit whose reply was lost, so a conflict may be with
        our own write; `reload` finds out."""
        changed = {
            "status": event.status.value,
            "signalId": event.signal_id,
            **_changed(stored.call, event),
        }
        await self._documents.commit_if_unchanged(
            self._documents.at("calls", stored.call.id),
            stored.version,
            self._dialect.call_written(changed),
            created=self._entry(event),
        )

    async def create(self, call: Call, event: CallEvent | None, expires: datetime) -> None:
        """1 Commit. As of `commit`, a conflict may be with our own write."""
        fields = {
            "callerId": call.caller,
            "receiverId": call.receiver,
            "status": call.status.value,
            "ringsUntil": call.rings_until,
            RINGS_UNTIL: call.rings_until,
            "ringSeconds": call.ring_seconds,
            "data": call.data,
            "signalId": call.signal_id,
            EXPIRES_AT: expires,
        }
        known = {name: value for name, value in fields.items() if value is not None}
        written = (self._documents.at("calls", call.id), self._dialect.call_written(known))
        await self._documents.create_all(written, *([self._entry(event)] if event else []))

    def _entry(self, event: CallEvent) -> Written:
        fields = {
            "event": to_fields(event),
            "recipients": list(event.users),
            "pendingSince": SERVER_TIMESTAMP,
            "expiresAt": event.expires_at,
        }
        return self._documents.entry(event.call_id, event.signal_id), fields

    async def current(self, ids: Iterable[CallId]) -> dict[CallId, Call]:
        """1 BatchGetDocuments."""
        references = [self._documents.at("calls", id) for id in ids]
        snapshots = await self._documents.get(*references)
        found = (call_in(snapshot, self._dialect) for snapshot in snapshots)
        return {stored.call.id: stored.call for stored in found if stored}

    async def overdue(self, before: datetime) -> AsyncIterator[list[StoredCall]]:
        """1 RunQuery for each page of 300."""
        query = (
            self._documents.collection("calls")
            .where(filter=FieldFilter(RINGS_UNTIL, "<=", before))
            .order_by(RINGS_UNTIL)
        )
        async for page in self._documents.ordered_pages(query):
            yield [found for each in page if (found := call_in(each, self._dialect))]

    async def note_silent(self, stored: StoredCall) -> None:
        """1 Commit."""
        await self._documents.update_unchanged(
            self._documents.at("calls", stored.call.id), stored.version, {RINGS_UNTIL: DELETE_FIELD}
        )

    async def mentions(self, user: UserId) -> list[Mention]:
        """1 RunQuery. At most 300."""
        # Who has a number may be in a document by its digits too.
        ids = dict.fromkeys([user, self._dialect.ids.user_out(user)])
        names = self._dialect.call_written(dict.fromkeys(_PARTIES))
        query = self._documents.naming("calls", ids, *names).limit(PAGE)
        return [self._mention_in(found, user) for found in await self._documents.run(query)]

    async def pseudonymise(self, mentions: Sequence[Mention], pseudonym: UserId) -> int:
        """1 Commit, 0 for none; if a call has changed, 1 more for each."""
        changes = [
            Change(
                self._documents.at("calls", each.id),
                each.version,
                self._dialect.call_written(_without(each, pseudonym)),
            )
            for each in mentions
        ]
        return await self._documents.change_unchanged(changes)

    async def warm_up(self) -> None:
        """1 BatchGetDocuments, which opens the channel."""
        await self._documents.get(self._documents.at("calls", "warm-up"))

    def _found(self, snapshot: Snapshot) -> StoredCall | UnreadableCall | None:
        """The call, or None if it is not there."""
        if not snapshot.exists:
            return None
        if stored := call_in(snapshot, self._dialect):
            return stored
        fields = self._dialect.call_read(snapshot.to_dict() or {})
        users = (fields.get(name) for name in _PARTIES)
        return UnreadableCall(CallId(snapshot.id), frozenset(filter(_is_text, users)))

    def _mention_in(self, snapshot: Snapshot, user: UserId) -> Mention:
        fields = self._dialect.call_read(snapshot.to_dict() or {})
        stored = call_in(snapshot, self._dialect)
        return Mention(
            id=CallId(snapshot.id),
            version=snapshot.update_time,
            fields=frozenset(name for name in _NAMING if fields.get(name) == user),
            said=frozenset(
                said for said, ours in _SAID.items() if any(name in fields for name in ours)
            ),
            call=stored.call if stored else None,
        )


def _changed(call: Call, event: CallEvent) -> dict[str, object]:
    """The fields that say what has become of the call, when and by whom."""
    if event.status is Status.RINGING:
        ends = event.rings_until
        return {"ringsUntil": ends, RINGS_UNTIL: ends} if call.is_ours else {}
    at, by = event.decided_at, event.by or DELETE_FIELD
    is_answered = event.status is Status.ACCEPTED
    answered = {
        "answeredAt": at,
        "answeredBy": by,
        "answeredOn": event.on_device or DELETE_FIELD,
        "answeredOnRegistration": event.on_registration or DELETE_FIELD,
    }
    said = answered if is_answered else {"endedAt": at, "endedBy": by}
    # Of a document that is not ours, the app's own fields may have these names.
    over = dict.fromkeys(_OF_THE_RING, DELETE_FIELD) if call.is_ours else {}
    return {**said, **over, "reason": event.reason, "cause": event.cause or DELETE_FIELD}


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _without(mention: Mention, pseudonym: UserId) -> dict[str, object]:
    """The fields that change when a user's name is to be in a call no more."""
    removed = [*mention.said, *(_HIS_DEVICE if "answeredBy" in mention.fields else ())]
    return {**dict.fromkeys(mention.fields, pseudonym), **dict.fromkeys(removed, DELETE_FIELD)}
