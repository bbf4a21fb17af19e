"""Calls in Firestore: read with a signal's connection, and changed with their outbox entry."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256

from google.cloud.firestore_v1 import DELETE_FIELD, SERVER_TIMESTAMP

from functions.calls.call import (
    Call,
    CallId,
    Cause,
    ConnectionId,
    Status,
    UnreadableCall,
    UserId,
)
from functions.calls.event import LONGEST_LIFE, CallEvent, to_fields
from functions.clients.connection import Connection
from functions.dialect.dialect import Dialect
from functions.ports.store import (
    Birth,
    Born,
    Loaded,
    Mention,
    Overdue,
    Reloaded,
    StoredCall,
)
from functions.services.firestore.documents import (
    EXPIRES_AT,
    RINGS_UNTIL,
    birth_in,
    call_in,
    connection_in,
    entry_in,
)
from functions.services.firestore.queries import all_of, at_most, is_one_of, names
from functions.services.firestore.remote import PAGE, Change, Documents, Written
from functions.services.firestore.values import Reference, Snapshot
from functions.services.firestore.writes import Entries

# What a call of ours has only while it rings.
_OF_THE_RING = ("ringsUntil", "ringSeconds", "data", RINGS_UNTIL)
_PARTIES = ("callerId", "receiverId")
_NAMING = (*_PARTIES, "answeredBy", "endedBy")  # the fields that may have a party's id
_HIS_DEVICE = ("answeredOn", "answeredOnConnection", "answeredOnRegistration")
_OF_USER_LIMIT = 20  # calls: more than anybody has at once
_BIRTH_COUNTS = timedelta(seconds=60)  # a frame overtakes another by no more
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

    async def born(self, call: CallId, caller: UserId) -> Born:
        """1 BatchGetDocuments."""
        stored, birth = await self._documents.get(
            self._documents.at("calls", call), self._birth(call, caller)
        )
        return Born(self._found(stored), birth_in(birth))

    async def reload(self, event: CallEvent) -> Reloaded:
        """1 BatchGetDocuments. An outbox entry proves that the commit was done, as no other signal
        can have made it."""
        ours = [self._documents.entry(event.call_id, event.signal_id)]
        if event.status is Status.RINGING:
            ours.append(self._birth(event.call_id, event.caller_id))
        stored, entry, *births = await self._documents.get(
            self._documents.at("calls", event.call_id), *ours
        )
        return Reloaded(
            is_ours=entry is not None,
            entry=entry_in(entry),
            call=self._found(stored),
            birth=birth_in(births[0]) if births else None,
        )

    async def commit(
        self, stored: StoredCall, event: CallEvent, on: Connection | None = None
    ) -> None:
        """1 Commit. One whose reply was lost is sent again, so a conflict may be with our own
        write; `reload` finds out."""
        fields = {
            "status": event.status.value,
            "signalId": event.signal_id,
            **_changed(stored.call, event),
        }
        call = Change(
            self._documents.at("calls", stored.call.id),
            stored.version,
            self._dialect.call_written(fields),
        )
        noted = self._noted_on(on, event)
        await self._documents.commit_all([call, *noted], [self._entry(event)])

    async def create(
        self,
        call: Call,
        event: CallEvent | None,
        *,
        now: datetime,
        expires: datetime,
        birth: Birth | None = None,
        on: Connection | None = None,
    ) -> None:
        """1 Commit. As of `commit`, a conflict may be with our own write."""
        fields = {
            "ringsUntil": call.rings_until,
            RINGS_UNTIL: call.rings_until,
            "ringSeconds": call.ring_seconds,
            "data": call.data,
            "signalId": call.signal_id,
        }
        created = [self._new(call, fields, expires), *([self._entry(event)] if event else [])]
        changed = self._noted_on(on, event)
        its_birth = self._birth(call.id, call.caller)
        came = _birth_fields(now, is_cancelled=False)
        if birth is None:
            created.append((its_birth, came))
        else:
            changed.append(Change(its_birth, birth.version, came))
        await self._documents.commit_all(changed, created)

    async def create_cancelled(self, call: Call, *, now: datetime, expires: datetime) -> None:
        """1 Commit."""
        ended = {"endedAt": now, "endedBy": call.caller, "cause": Cause.CALLER_CANCELLED}
        await self._documents.commit_all([], [self._new(call, ended, expires)])

    async def forestall(self, call: CallId, caller: UserId, now: datetime) -> bool:
        """1 Commit; if there has been a birth, 1 BatchGetDocuments more, and 1 Commit if that has
        expired."""
        reference, came = self._birth(call, caller), _birth_fields(now, is_cancelled=True)
        if await self._documents.create(reference, came):
            return True
        (snapshot,) = await self._documents.get(reference)
        birth = birth_in(snapshot)
        if birth is None or now < birth.expires_at:
            return birth is None or birth.is_cancelled
        return await self._documents.update_unchanged(reference, birth.version, came)

    async def of(self, user: UserId, statuses: Collection[Status]) -> list[StoredCall]:
        """1 RunQuery. At most 20."""
        ids = dict.fromkeys([user, self._dialect.ids.user_out(user)])
        parties = self._dialect.call_written(dict.fromkeys(_PARTIES))
        (status,) = self._dialect.call_written({"status": Status.RINGING.value})
        query = self._documents.query(
            "calls",
            all_of(names(ids, *parties), is_one_of(status, self._dialect.words_for(statuses))),
            limit=_OF_USER_LIMIT,
        )
        found = (call_in(each, self._dialect) for each in await self._documents.run(query))
        return [each for each in found if each]

    def _new(self, call: Call, more: Mapping[str, object], expires: datetime) -> Written:
        fields = {
            "callerId": call.caller,
            "receiverId": call.receiver,
            "status": call.status.value,
            **{name: value for name, value in more.items() if value is not None},
            EXPIRES_AT: expires,
        }
        return self._documents.at("calls", call.id), self._dialect.call_written(fields)

    def _birth(self, call: CallId, caller: UserId) -> Reference:
        """Of a name that says nothing of either, and takes every id."""
        name = sha256(f"{len(caller)} {caller} {call}".encode()).hexdigest()
        return self._documents.at("births", name)

    def _noted_on(self, connection: Connection | None, ring: CallEvent | None) -> list[Change]:
        """Those that no longer ring go."""
        if connection is None or ring is None or ring.rings_until is None:
            return []
        ended = ring.rings_until - LONGEST_LIFE
        over = [id for id, each in connection.calling.items() if each.rings_until < ended]
        begun = {"signalId": ring.signal_id, "ringsUntil": ring.rings_until}
        calling: dict[str, object] = {**dict.fromkeys(over, DELETE_FIELD), ring.call_id: begun}
        fields = {"calling": Entries(calling)}
        return [Change(self._documents.at("connections", connection.id), None, fields)]

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

    async def overdue(self, before: datetime) -> AsyncIterator[list[Overdue]]:
        """1 RunQuery for each page of 300."""
        query = self._documents.query("calls", at_most(RINGS_UNTIL, before), order_by=RINGS_UNTIL)
        async for page in self._documents.pages(query):
            read = [(each, call_in(each, self._dialect)) for each in page]
            yield [
                Overdue(CallId(each.id), each.version, stored.call if stored else None)
                for each, stored in read
            ]

    async def note_silent(self, overdue: Overdue) -> None:
        """1 Commit."""
        await self._documents.update_unchanged(
            self._documents.at("calls", overdue.id), overdue.version, {RINGS_UNTIL: DELETE_FIELD}
        )

    async def mentions(self, user: UserId) -> list[Mention]:
        """1 RunQuery. At most 300."""
        # Who has a number may be in a document by its digits too.
        ids = dict.fromkeys([user, self._dialect.ids.user_out(user)])
        parties = self._dialect.call_written(dict.fromkeys(_PARTIES))
        query = self._documents.query("calls", names(ids, *parties), limit=PAGE)
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

    def _found(self, snapshot: Snapshot | None) -> StoredCall | UnreadableCall | None:
        """The call, or None if it is not there."""
        if snapshot is None:
            return None
        if stored := call_in(snapshot, self._dialect):
            return stored
        fields = self._dialect.call_read(snapshot.fields)
        users = (fields.get(name) for name in _PARTIES)
        return UnreadableCall(CallId(snapshot.id), frozenset(filter(_is_text, users)))

    def _mention_in(self, snapshot: Snapshot, user: UserId) -> Mention:
        fields = self._dialect.call_read(snapshot.fields)
        stored = call_in(snapshot, self._dialect)
        return Mention(
            id=CallId(snapshot.id),
            version=snapshot.version,
            fields=frozenset(name for name in _NAMING if fields.get(name) == user),
            said=frozenset(
                said for said, ours in _SAID.items() if any(name in fields for name in ours)
            ),
            call=stored.call if stored else None,
        )


def _changed(call: Call, event: CallEvent) -> dict[str, object]:
    """The fields that say what has become of the call, when and by whom."""
    if event.status is Status.RINGING:
        if not call.is_ours:
            return {}
        ends, began = event.rings_until, event.decided_at
        return {
            "ringsUntil": ends,
            RINGS_UNTIL: ends,
            "ringSeconds": round((ends - began).total_seconds()) if ends else DELETE_FIELD,
            "data": event.data or DELETE_FIELD,
        }
    at, by = event.decided_at, event.by or DELETE_FIELD
    is_answered = event.status is Status.ACCEPTED
    answered = {
        "answeredAt": at,
        "answeredBy": by,
        "answeredOn": event.on_device or DELETE_FIELD,
        "answeredOnConnection": event.by_connection or DELETE_FIELD,
        "answeredOnRegistration": event.on_registration or DELETE_FIELD,
    }
    said = answered if is_answered else {"endedAt": at, "endedBy": by}
    # Of a document that is not ours, the app's own fields may have these names.
    over = dict.fromkeys(_OF_THE_RING, DELETE_FIELD) if call.is_ours else {}
    return {**said, **over, "reason": event.reason, "cause": event.cause or DELETE_FIELD}


def _birth_fields(now: datetime, *, is_cancelled: bool) -> dict[str, object]:
    return {"isCancelled": is_cancelled, "expiresAt": now + _BIRTH_COUNTS}


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _without(mention: Mention, pseudonym: UserId) -> dict[str, object]:
    """The fields that change when a user's name is to be in a call no more."""
    removed = [*mention.said, *(_HIS_DEVICE if "answeredBy" in mention.fields else ())]
    return {**dict.fromkeys(mention.fields, pseudonym), **dict.fromkeys(removed, DELETE_FIELD)}
