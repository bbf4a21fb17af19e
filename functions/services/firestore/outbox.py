"""The outbox in Firestore: keeps events from their commit until they expire, and is the one place
that knows who has them already."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from google.cloud.firestore_v1 import DELETE_FIELD, ArrayUnion

from functions.attempt import MessageId
from functions.calls.call import CallId, ConnectionId, SignalId, UserId
from functions.calls.event import CallEvent
from functions.clients.connection import Connection
from functions.clients.device import Device
from functions.dialect.dialect import Dialect
from functions.ports.store import Entry, Known, Page, Unreadable
from functions.services.firestore.connections import closed
from functions.services.firestore.documents import (
    MalformedDocument,
    call_in,
    entry_in,
    read_entry,
)
from functions.services.firestore.queries import above, all_of, at_most, contains
from functions.services.firestore.remote import Change, Documents, entry_name
from functions.services.firestore.values import Reference, Snapshot
from functions.services.firestore.writes import Fields

_MISSED_LIMIT = 100  # events; a user gets fewer in the two minutes that one may live

_Writes = Mapping[Reference, Fields]
_NOTHING: _Writes = MappingProxyType({})


class FirestoreOutbox:
    """The collection `outbox`; `FirestoreCalls.commit` creates its entries.

    A Commit with a note on an entry that is gone fails: each note then costs a Commit of its own.
    """

    def __init__(self, documents: Documents, dialect: Dialect) -> None:
        self._documents = documents
        self._dialect = dialect

    async def entry(self, call: CallId, signal: SignalId) -> Entry | None:
        """1 BatchGetDocuments."""
        (snapshot,) = await self._documents.get(self._documents.entry(call, signal))
        return entry_in(snapshot)

    async def known(self, event: CallEvent) -> Known:
        """1 BatchGetDocuments."""
        entry, call = await self._documents.get(
            self._of(event), self._documents.at("calls", event.call_id)
        )
        stored = call_in(call, self._dialect)
        return Known(entry_in(entry), stored.call if stored else None)

    async def missed(self, user: UserId, now: datetime) -> list[Entry]:
        """1 RunQuery."""
        query = self._documents.query(
            "outbox",
            all_of(contains("recipients", user), above("expiresAt", now)),
            order_by="expiresAt",
            descending=True,
            limit=_MISSED_LIMIT,
        )
        found = map(entry_in, await self._documents.run(query))
        return sorted((entry for entry in found if entry), key=lambda entry: entry.created)

    async def pending(self, before: datetime) -> AsyncIterator[Page]:
        """1 RunQuery for each page."""
        due = at_most("pendingSince", before)
        query = self._documents.query("outbox", due, order_by="pendingSince")
        async for snapshots in self._documents.pages(query):
            yield _page(snapshots)

    async def claim(self, entry: Entry, claimant: MessageId, now: datetime) -> bool:
        """1 Commit."""
        return await self._documents.update_unchanged(
            self._of(entry.event),
            entry.version,
            {"claimedBy": claimant, "claimedAt": now},
        )

    async def note_served(
        self,
        event: CallEvent,
        served: Collection[ConnectionId],
        now: datetime,
        *,
        is_done: bool,
        dead: Sequence[Connection] = (),
    ) -> None:
        """1 Commit."""
        fields: dict[str, object] = {"pendingSince": DELETE_FIELD} if is_done else {}
        if served:
            fields["served"] = ArrayUnion(sorted(served))
        closings = {self._documents.at("connections", each.id): closed(now) for each in dead}
        await self._note({self._of(event): fields} if fields else {}, closings)

    async def note_pushed(self, event: CallEvent, pushed: Iterable[Device]) -> None:
        """1 Commit; 0 for none."""
        ids = sorted(device.id for device in pushed)
        await self._note({self._of(event): {"pushed": ArrayUnion(ids)}} if ids else {})

    async def note_caught_up(self, events: Iterable[CallEvent], connection: ConnectionId) -> None:
        """1 Commit; 0 for none."""
        mark = {"served": ArrayUnion([connection])}
        await self._note({self._of(event): mark for event in events})

    async def remove_for(self, user: UserId) -> None:
        """1 RunQuery for each page of 300, and 1 Commit if there is something to delete; if an
        entry has changed, 1 more for each."""
        query = self._documents.query("outbox", contains("recipients", user))
        async for page in self._documents.pages(query):
            his = [each for each in page if each.fields.get("recipients") == [user]]
            changes = [Change(each.reference, each.version) for each in his]
            await self._documents.change_unchanged(changes)

    async def remove(self, unreadable: Unreadable) -> None:
        """1 Commit."""
        reference = self._documents.at("outbox", unreadable.id)
        await self._documents.delete_unchanged(reference, unreadable.version)

    def _of(self, event: CallEvent) -> Reference:
        return self._documents.entry(event.call_id, event.signal_id)

    async def _note(self, notes: _Writes, closings: _Writes = _NOTHING) -> None:
        if not notes and not closings:
            return
        if await self._documents.note(notes.items(), closings.items()):
            return
        # An entry has expired and is gone, so nobody needs its note. Write each of the others.
        rest = [{reference: fields} for reference, fields in notes.items()]
        for each in rest if len(rest) > 1 else ():
            await self._note(each)
        await self._note({}, closings)


def _page(snapshots: Sequence[Snapshot]) -> Page:
    entries, unreadable = [], []
    for snapshot in snapshots:
        try:
            entries.append(_read(snapshot))
        except MalformedDocument as error:
            unreadable.append(Unreadable(snapshot.id, snapshot.version, str(error)))
    return Page(entries, unreadable)


def _read(snapshot: Snapshot) -> Entry:
    """Raises MalformedDocument, also if the entry's name is not its event's: no note on the event
    would ever reach this entry."""
    entry = read_entry(snapshot.fields, snapshot.created, snapshot.version)
    if snapshot.id != entry_name(entry.event.call_id, entry.event.signal_id):
        raise MalformedDocument("event: it is another entry's")
    return entry
