"""What the store in memory holds, and the one order in which it is written."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from functions.calls.call import (
    NOBODYS,
    Call,
    CallId,
    ConnectionId,
    SignalId,
    UnreadableCall,
    UserId,
)
from functions.calls.event import LONGEST_LIFE, CallEvent
from functions.clients.connection import BegunRing, Connection
from functions.clients.device import Device, DeviceId
from functions.clients.poll import Poll
from functions.ports.clock import Clock
from functions.ports.store import (
    Birth,
    Entry,
    Mention,
    Overdue,
    StoreConflict,
    StoredCall,
    Unreadable,
)

_UNCHANGED = datetime.min  # the version of what is never written again
_TICK = timedelta(microseconds=1)
_CLOSED_IS_KEPT = timedelta(seconds=60)

Key = tuple[CallId, SignalId]

_Id = TypeVar("_Id")


class _Versioned(Protocol):
    @property
    def version(self) -> datetime | None: ...


_Document = TypeVar("_Document", bound=_Versioned)


@dataclass
class Database:
    """Calls, connections, devices and outbox entries, each write at a time of its own."""

    clock: Clock
    calls: dict[CallId, StoredCall] = field(default_factory=dict)
    unreadable_calls: dict[CallId, UnreadableCall] = field(default_factory=dict)
    # Who gave a call its status; None: its time was over.
    changed_by: dict[CallId, UserId | None] = field(default_factory=dict)
    silent: set[CallId] = field(default_factory=set)  # calls that `sweep` need not look for
    births: dict[tuple[CallId, UserId], Birth] = field(default_factory=dict)
    connections: dict[ConnectionId, Connection] = field(default_factory=dict)
    # Sockets that were closed before their handshake was handled.
    unknown_closed: set[ConnectionId] = field(default_factory=set)
    polls: dict[ConnectionId, Poll] = field(default_factory=dict)
    devices: dict[DeviceId, Device] = field(default_factory=dict)
    entries: dict[Key, Entry] = field(default_factory=dict)
    unreadable: dict[str, tuple[Unreadable, datetime]] = field(default_factory=dict)  # since when
    _last: datetime | None = None

    def tick(self) -> datetime:
        """The time of a write: later than every other's."""
        now = self.clock()
        self._last = now if self._last is None else max(now, self._last + _TICK)
        return self._last

    # What is there

    def connection(self, id: ConnectionId, now: datetime) -> Connection | None:
        found = self.connections.get(id)
        return found if found and now < found.expires_at else None

    def connections_of(self, users: Collection[UserId], now: datetime) -> list[Connection]:
        return [
            found
            for _, found in sorted(self.connections.items())
            if found.user in users and now < found.expires_at
        ]

    def unadmitted(self, now: datetime) -> list[Connection]:
        due = [
            (found.admit_by, found)
            for found in self.connections.values()
            if found.admit_by and found.admit_by <= now
        ]
        return [found for _, found in sorted(due, key=lambda pair: pair[0])][:300]

    def devices_of(self, users: Collection[UserId], now: datetime) -> list[Device]:
        return [
            found
            for _, found in sorted(self.devices.items())
            if found.user in users and now < found.expires_at
        ]

    def entry(self, event: CallEvent) -> Entry | None:
        return self.entries.get((event.call_id, event.signal_id))

    def call(self, id: CallId) -> Call | None:
        stored = self.calls.get(id)
        return stored.call if stored else None

    def stored_call(self, id: CallId) -> StoredCall | UnreadableCall | None:
        return self.calls.get(id) or self.unreadable_calls.get(id)

    def connections_naming(self, user: UserId) -> list[Connection]:
        return [
            found
            for _, found in sorted(self.connections.items())
            if user in (found.user, found.owner, found.shown_user)
        ]

    def all_devices_of(self, user: UserId) -> list[Device]:
        return [found for _, found in sorted(self.devices.items()) if found.user == user]

    def entries_for(self, user: UserId) -> list[Entry]:
        return [entry for _, entry in sorted(self.entries.items()) if user in entry.event.users]

    def mentions(self, user: UserId) -> list[Mention]:
        found = [
            Mention(
                id,
                stored.version,
                self._fields_naming(stored.call, user),
                frozenset({"data"} if stored.call.is_ours else ()),
                stored.call,
            )
            for id, stored in sorted(self.calls.items())
            if stored.call.parties(user)
        ]
        for id, unreadable in sorted(self.unreadable_calls.items()):
            if user in unreadable.users:
                named = frozenset({"callerId"})
                found.append(Mention(id, _UNCHANGED, named, said=frozenset(), call=None))
        return found

    def _fields_naming(self, call: Call, user: UserId) -> frozenset[str]:
        fields = {
            "callerId": call.caller,
            "receiverId": call.receiver,
            "endedBy": self.changed_by.get(call.id),
        }
        return frozenset(name for name, who in fields.items() if who == user)

    def overdue(self, before: datetime) -> list[tuple[tuple[datetime, str], Overdue]]:
        """With the order of each, in that order."""
        found = [
            ((stored.call.rings_until, id), Overdue(id, stored.version, stored.call))
            for id, stored in self.calls.items()
            if stored.call.is_ours and stored.call.rings_until and id not in self.silent
        ]
        return sorted((each for each in found if each[0][0] <= before), key=lambda each: each[0])

    # How it is changed

    def note_silent(self, read: Overdue) -> None:
        found = self.calls.get(read.id)
        if found and found.version == read.version:
            self.silent.add(read.id)
            self.put_call(found.call)

    def put_birth(self, call: CallId, caller: UserId, at: datetime, *, is_cancelled: bool) -> None:
        expires = at + timedelta(seconds=60)
        self.births[call, caller] = Birth(is_cancelled, expires, self.tick())

    def note_calling(self, connection: Connection | None, ring: CallEvent | None) -> None:
        if connection is None or ring is None or ring.rings_until is None:
            return
        found = self.connections.get(connection.id)
        if found is None:
            raise StoreConflict("the connection is gone")
        over = ring.rings_until - LONGEST_LIFE
        rings = {id: each for id, each in found.calling.items() if each.rings_until >= over}
        begun = BegunRing(ring.signal_id, ring.rings_until)
        self.put_connection(replace(found, calling={**rings, ring.call_id: begun}))

    def put_call(self, call: Call) -> None:
        """As the app's backend does."""
        self.calls[call.id] = StoredCall(call, self.tick())

    def put_connection(self, connection: Connection) -> None:
        self.connections[connection.id] = replace(connection, version=self.tick())

    def put_poll(self, poll: Poll) -> None:
        self.polls[poll.id] = replace(poll, version=self.tick())

    def is_unchanged(self, connection: Connection) -> bool:
        found = self.connections.get(connection.id)
        return found is not None and found.version == connection.version

    def close(self, id: ConnectionId, now: datetime, admit_by: datetime | None = None) -> None:
        found = self.connections.get(id)
        if found is None:
            self.unknown_closed.add(id)
            return
        ends = now + _CLOSED_IS_KEPT
        closed = replace(found, user=None, closed_at=now, expires_at=ends, admit_by=admit_by)
        self.put_connection(closed)

    def leave(
        self,
        connection: Connection,
        left_at: datetime,
        now: datetime,
        admit_by: datetime | None,
    ) -> None:
        self.close(connection.id, now, admit_by or connection.admit_by)
        self.put_connection(
            replace(
                self.connections[connection.id],
                left_at=left_at,
                namespace=connection.namespace,
                also_in={},
            )
        )

    def put_entry(self, entry: Entry) -> None:
        key = (entry.event.call_id, entry.event.signal_id)
        self.entries[key] = replace(entry, version=self.tick())

    # What is only done to a document that is as it was read. `is_tried`: nothing is done.

    def remove_connection(self, read: Connection, *, is_tried: bool) -> bool:
        is_removed = _removed(self.connections, read.id, read, is_tried=is_tried)
        if is_removed and not is_tried:
            self.polls.pop(read.id, None)
        return is_removed

    def remove_device(self, read: Device, *, is_tried: bool) -> bool:
        return _removed(self.devices, read.id, read, is_tried=is_tried)

    def remove_entry(self, read: Entry, *, is_tried: bool) -> bool:
        key = (read.event.call_id, read.event.signal_id)
        return _removed(self.entries, key, read, is_tried=is_tried)

    def pseudonymise(self, read: Mention, pseudonym: UserId, *, is_tried: bool) -> bool:
        if read.call is None:
            return self._pseudonymise_unreadable(read, pseudonym, is_tried=is_tried)
        found = self.calls.get(read.id)
        if found is None or found.version != read.version:
            return False
        if not is_tried:
            caller = pseudonym if "callerId" in read.fields else found.call.caller
            receiver = pseudonym if "receiverId" in read.fields else found.call.receiver
            renamed = replace(found.call, caller=caller, receiver=receiver)
            if "data" in read.said:
                renamed = replace(renamed, data=None)
            if "receiverId" in read.fields:  # who alone may have answered
                renamed = replace(renamed, answered_on=NOBODYS)
            self.put_call(renamed)
            if "endedBy" in read.fields:
                self.changed_by[read.id] = pseudonym
        return True

    def _pseudonymise_unreadable(self, read: Mention, pseudonym: UserId, *, is_tried: bool) -> bool:
        found = self.unreadable_calls.get(read.id)
        if found and not is_tried:
            self.unreadable_calls[read.id] = UnreadableCall(read.id, frozenset({pseudonym}))
        return found is not None


def _removed(documents: dict[_Id, _Document], id: _Id, read: _Document, *, is_tried: bool) -> bool:
    found = documents.get(id)
    if found is None or found.version != read.version:
        return False
    if not is_tried:
        del documents[id]
    return True
