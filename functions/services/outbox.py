"""The outbox: events from their commit until they expire, and the one place where it stands who
has them already."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.api_core import exceptions
from google.cloud.firestore import (
    DELETE_FIELD,
    SERVER_TIMESTAMP,
    ArrayUnion,
    AsyncClient,
    AsyncDocumentReference,
    AsyncWriteBatch,
    FieldFilter,
    Query,
)

from functions.calls.call import Call, CallId, ConnectionId, SignalId, UserId
from functions.calls.event import CallEvent, to_fields
from functions.services.documents import (
    Connection,
    Device,
    Entry,
    MalformedDocument,
    MessageId,
    Snapshot,
    call_in,
    entry_in,
    read_entry,
)
from functions.services.remote import Documents, closed, remote_call
from functions.services.rpc import LIMITS

_MISSED_LIMIT = 100  # events that one user has missed: more than he has calls in two minutes

Notes = Mapping[AsyncDocumentReference, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Known:
    """What Firestore knows of an event that comes late."""

    entry: Entry | None
    call: Call | None  # also None where nobody can read it


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An entry that is no event of ours, and so can't be delivered."""

    id: str
    version: datetime
    error: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the entries that wait; `last` is where the next page begins, if there is one."""

    entries: Sequence[Entry]
    unreadable: Sequence[Unreadable]
    last: Snapshot | None


def _read(snapshot: Snapshot) -> Entry:
    """Raises MalformedDocument, also of an entry under a name that is not its event's: whatever is
    noted of the event would never be noted there."""
    entry = read_entry(snapshot.to_dict() or {}, snapshot.create_time, snapshot.update_time)
    if snapshot.id != _name(entry.event.call_id, entry.event.signal_id):
        raise MalformedDocument("event: it is another entry's")
    return entry


def _name(call: CallId, signal: SignalId) -> str:
    return f"{call}:{signal}"


class Outbox:
    """Entry `{callId}:{signalId}` for each transition, so that no two share one.

    Every method raises StoreUnavailable when Firestore can't be reached. A note on an entry that
    has expired and is gone is dropped, and costs the others of its Commit one each.
    """

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._documents = Documents(client)

    def of(self, event: CallEvent) -> AsyncDocumentReference:
        return self._documents.at("outbox", _name(event.call_id, event.signal_id))

    def create(self, batch: AsyncWriteBatch, event: CallEvent) -> None:
        """Adds the entry to the write that changes the call: both are there, or neither."""
        batch.create(
            self.of(event),
            {
                "event": to_fields(event),
                "recipients": list(event.users),
                "pendingSince": SERVER_TIMESTAMP,
                "expiresAt": event.expires,
            },
        )

    async def entry(self, call: CallId, signal: SignalId) -> Entry | None:
        """1 BatchGetDocuments."""
        (snapshot,) = await self._documents.get(self._documents.at("outbox", _name(call, signal)))
        return entry_in(snapshot)

    async def known(self, event: CallEvent) -> Known:
        """1 BatchGetDocuments: who has the event, and whether it is still true."""
        entry, call = await self._documents.get(
            self.of(event), self._documents.at("calls", event.call_id)
        )
        stored = call_in(call)
        return Known(entry_in(entry), stored.call if stored else None)

    async def missed(self, user: UserId, now: datetime) -> list[Entry]:
        """1 RunQuery: the events for `user` that may still be told, oldest first; of more than a
        hundred, those that expire last."""
        query = (
            self._client.collection("outbox")
            .where(filter=FieldFilter("recipients", "array_contains", user))
            .where(filter=FieldFilter("expiresAt", ">", now))
            .order_by("expiresAt", Query.DESCENDING)
            .limit(_MISSED_LIMIT)
        )
        found = map(entry_in, await self._documents.run(query))
        return sorted((entry for entry in found if entry), key=lambda entry: entry.created)

    async def calls(self, ids: Iterable[CallId]) -> dict[CallId, Call]:
        """1 BatchGetDocuments: the calls that are there and can be read."""
        references = [self._documents.at("calls", id) for id in ids]
        found = map(call_in, await self._documents.get(*references))
        return {stored.call.id: stored.call for stored in found if stored}

    async def claim(self, entry: Entry, claimant: MessageId, now: datetime) -> bool:
        """1 Commit: whether `claimant` has the entry now; somebody else may have been faster."""
        return await self._documents.update_unchanged(
            self.of(entry.event),
            entry.version,
            {"claimedBy": claimant, "claimedAt": now},
        )

    async def note_served(
        self,
        event: CallEvent,
        served: Collection[ConnectionId],
        *,
        is_done: bool,
        gone: Sequence[Connection] = (),
    ) -> None:
        """1 Commit: who has the event, whether that is all, and whose sockets are dead."""
        fields: dict[str, Any] = {"pendingSince": DELETE_FIELD} if is_done else {}
        if served:
            fields["served"] = ArrayUnion(sorted(served))
        await self._note({self.of(event): fields} if fields else {}, gone)

    async def note_pushed(self, event: CallEvent, pushed: Iterable[Device]) -> None:
        """1 Commit: which devices have the event, or will never take it; 0 for none."""
        ids = sorted(device.id for device in pushed)
        await self._note({self.of(event): {"pushed": ArrayUnion(ids)}} if ids else {})

    async def note_caught_up(self, events: Iterable[CallEvent], connection: ConnectionId) -> None:
        """1 Commit: the connection has these events as well."""
        await self._note({self.of(event): {"served": ArrayUnion([connection])} for event in events})

    async def waiting(self, before: datetime, after: Snapshot | None, limit: int) -> Page:
        """1 RunQuery: what has been pending since `before`, oldest first, from `after` on."""
        query = (
            self._client.collection("outbox")
            .where(filter=FieldFilter("pendingSince", "<=", before))
            .order_by("pendingSince")
            .limit(limit)
        )
        snapshots = await self._documents.run(query.start_after(after) if after else query)
        entries, unreadable = [], []
        for snapshot in snapshots:
            try:
                entries.append(_read(snapshot))
            except MalformedDocument as error:
                unreadable.append(Unreadable(snapshot.id, snapshot.update_time, str(error)))
        return Page(entries, unreadable, snapshots[-1] if len(snapshots) == limit else None)

    async def remove(self, unreadable: Unreadable) -> None:
        """1 Commit. An entry that was mended since it was read stays."""
        reference = self._documents.at("outbox", unreadable.id)
        await self._documents.delete_unchanged(reference, unreadable.version)

    async def _note(self, notes: Notes, gone: Sequence[Connection] = ()) -> None:
        if not notes and not gone:
            return
        try:
            await self._write(notes, gone)
        except exceptions.NotFound:
            # An entry expired and is gone, so nobody needs a note on it any more. The rest counts.
            rest = [{reference: fields} for reference, fields in notes.items()]
            for each in rest if len(rest) > 1 else ():
                await self._note(each)
            await self._note({}, gone)

    async def _write(self, notes: Notes, gone: Sequence[Connection]) -> None:
        batch = self._client.batch()
        for reference, fields in notes.items():
            batch.update(reference, fields)
        for connection in gone:
            reference = self._documents.at("connections", connection.id)
            batch.set(reference, closed(datetime.now(UTC)), merge=True)
        async with remote_call(exceptions.NotFound):
            await batch.commit(**LIMITS)
