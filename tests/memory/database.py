"""What the store in memory holds, and the one order in which it is written."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from functions.calls.call import (
    Call,
    CallId,
    ConnectionId,
    SignalId,
    UnreadableCall,
    UserId,
)
from functions.calls.event import CallEvent
from functions.clients.connection import Connection
from functions.clients.device import Device, DeviceId
from functions.ports.clock import Clock
from functions.ports.store import Entry, StoredCall, Unreadable

_TICK = timedelta(microseconds=1)
_CLOSED_IS_KEPT = timedelta(seconds=60)

Key = tuple[CallId, SignalId]


@dataclass
class Database:
    """Calls, connections, devices and outbox entries, each write at a time of its own."""

    clock: Clock
    calls: dict[CallId, StoredCall] = field(default_factory=dict)
    unreadable_calls: dict[CallId, UnreadableCall] = field(default_factory=dict)
    changed_by: dict[CallId, UserId] = field(default_factory=dict)  # who gave a call its status
    connections: dict[ConnectionId, Connection] = field(default_factory=dict)
    # Sockets that were closed before their handshake was handled.
    unknown_closed: set[ConnectionId] = field(default_factory=set)
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

    # How it is changed

    def put_call(self, call: Call) -> None:
        """As the app's backend does."""
        self.calls[call.id] = StoredCall(call, self.tick())

    def put_connection(self, connection: Connection) -> None:
        self.connections[connection.id] = replace(connection, version=self.tick())

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
                self.connections[connection.id], left_at=left_at, namespace=connection.namespace
            )
        )

    def put_entry(self, entry: Entry) -> None:
        key = (entry.event.call_id, entry.event.signal_id)
        self.entries[key] = replace(entry, version=self.tick())
