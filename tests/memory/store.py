"""The store in memory."""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from functions.attempt import MessageId
from functions.calls.call import Call, CallId, ConnectionId, SignalId, UserId
from functions.calls.event import CallEvent
from functions.clients.connection import Connection
from functions.clients.device import Device, DeviceId, FcmToken, Platform, device_id
from functions.ports.store import (
    Entry,
    Known,
    Loaded,
    Page,
    Reloaded,
    Store,
    StoreConflict,
    StoredCall,
    StoreUnavailable,
    Unreadable,
)
from tests.memory.database import Database
from tests.memory.network import CallFailed, Network

_MISSED_LIMIT = 100

_Reply = TypeVar("_Reply")


def memory_store(database: Database, network: Network) -> Store:
    remote = _Remote(network)
    return Store(
        calls=MemoryCalls(database, remote),
        connections=MemoryConnections(database, remote),
        devices=MemoryDevices(database, remote),
        outbox=MemoryOutbox(database, remote),
    )


@dataclass(frozen=True)
class _Remote:
    """The calls that the adapter makes to Firestore."""

    network: Network

    async def get(self, about: str, read: Callable[[], _Reply]) -> _Reply:
        return await self._call("BatchGetDocuments", about, read)

    async def query(self, about: str, read: Callable[[], _Reply]) -> _Reply:
        return await self._call("RunQuery", about, read)

    async def commit(self, about: str, write: Callable[[], _Reply]) -> _Reply:
        return await self._call("Commit", about, write)

    async def _call(self, rpc: str, about: str, serve: Callable[[], _Reply]) -> _Reply:
        try:
            return await self.network.call(f"firestore.{rpc}", about, serve)
        except CallFailed as error:
            raise StoreUnavailable(str(error)) from error


@dataclass(frozen=True)
class MemoryCalls:
    database: Database
    remote: _Remote

    async def load(self, call: CallId, sender: ConnectionId, now: datetime) -> Loaded:
        def read() -> Loaded:
            return Loaded(self.database.connection(sender, now), self.database.calls.get(call))

        return await self.remote.get(f"{call} {sender}", read)

    async def reload(self, event: CallEvent, reader: UserId) -> Reloaded:
        def read() -> Reloaded:
            entry = self.database.entry(event)
            return Reloaded(entry is not None, entry, self.database.calls.get(event.call_id))

        return await self.remote.get(f"{event.call_id}:{event.signal_id}", read)

    async def commit(self, stored: StoredCall, event: CallEvent, by: UserId) -> None:
        def write() -> None:
            found = self.database.calls.get(stored.call.id)
            if found is None or found.version != stored.version or self.database.entry(event):
                raise StoreConflict("the call is not as it was read")
            at = self.database.tick()
            call = replace(found.call, status=event.status, signal_id=event.signal_id)
            self.database.calls[call.id] = StoredCall(call, at)
            self.database.changed_by[call.id] = by
            self.database.put_entry(
                Entry(
                    event=event,
                    created=at,
                    version=at,
                    pending_since=at,
                    served=frozenset(),
                    pushed=frozenset(),
                    claimed_by=None,
                    claimed_at=None,
                )
            )

        await self.remote.commit(f"{event.call_id}:{event.signal_id}", write)

    async def current(self, ids: Iterable[CallId]) -> dict[CallId, Call]:
        wanted = list(ids)

        def read() -> dict[CallId, Call]:
            return {id: call for id in wanted if (call := self.database.call(id))}

        return await self.remote.get(" ".join(wanted), read)

    async def warm_up(self) -> None:
        await self.remote.get("warm-up", lambda: None)


@dataclass(frozen=True)
class MemoryConnections:
    database: Database
    remote: _Remote

    async def get(self, id: ConnectionId, now: datetime) -> Connection | None:
        return await self.remote.get(id, lambda: self.database.connection(id, now))

    async def of(self, users: Collection[UserId], now: datetime) -> list[Connection]:
        about = " ".join(users)
        return await self.remote.query(about, lambda: self.database.connections_of(users, now))

    async def add(self, connection: Connection) -> bool:
        def write() -> bool:
            is_there = connection.id in {*self.database.connections, *self.database.unknown_closed}
            if not is_there:
                self.database.put_connection(connection)
            return not is_there

        if await self.remote.commit(connection.id, write):
            return True
        return await self.remote.get(connection.id, lambda: self._is_open_for(connection.id))

    def _is_open_for(self, id: ConnectionId) -> bool:
        found = self.database.connections.get(id)
        return found is not None and found.closed_at is None

    async def open(self, id: ConnectionId) -> None:
        def write() -> None:
            if found := self.database.connections.get(id):
                self.database.put_connection(replace(found, is_open=True))

        await self.remote.commit(id, write)

    async def admit(
        self, connection: Connection, user: UserId, requested: datetime | None, expires: datetime
    ) -> bool:
        admitted = replace(
            connection,
            owner=user,
            former_owner=connection.owner,
            user=user,
            is_open=True,
            admitted_at=requested,
            closed_at=None,
            left_at=None,
            expires_at=expires,
        )
        return await self._if_unchanged(connection, lambda: self.database.put_connection(admitted))

    async def leave(
        self, connection: Connection, requested: datetime | None, now: datetime
    ) -> bool:
        left_at = requested or now
        return await self._if_unchanged(
            connection, lambda: self.database.leave(connection, left_at, now)
        )

    async def close(self, id: ConnectionId, now: datetime) -> None:
        await self.remote.commit(id, lambda: self.database.close(id, now))

    async def _if_unchanged(self, connection: Connection, change: Callable[[], None]) -> bool:
        def write() -> bool:
            found = self.database.connections.get(connection.id)
            is_unchanged = found is not None and found.version == connection.version
            if is_unchanged:
                change()
            return is_unchanged

        return await self.remote.commit(connection.id, write)


@dataclass(frozen=True)
class MemoryDevices:
    database: Database
    remote: _Remote

    async def of(self, users: Collection[UserId], now: datetime) -> list[Device]:
        about = " ".join(users)
        return await self.remote.query(about, lambda: self.database.devices_of(users, now))

    async def register(
        self, user: UserId, token: FcmToken, platform: Platform, now: datetime, expires: datetime
    ) -> None:
        def write() -> None:
            version = self.database.tick()
            device = Device(device_id(token), user, token, platform, expires, version)
            self.database.devices[device.id] = device

        await self.remote.commit(device_id(token), write)

    async def unregister(self, user: UserId, token: FcmToken) -> None:
        id = device_id(token)
        found = await self.remote.get(id, lambda: self.database.devices.get(id))
        if found and found.user == user:
            await self._forget(found)

    async def forget(self, device: Device) -> None:
        await self._forget(device)

    async def _forget(self, device: Device) -> None:
        def write() -> None:
            found = self.database.devices.get(device.id)
            if found and found.version == device.version:
                del self.database.devices[device.id]

        await self.remote.commit(device.id, write)


@dataclass(frozen=True)
class MemoryOutbox:
    database: Database
    remote: _Remote
    page: int = 300

    async def entry(self, call: CallId, signal: SignalId) -> Entry | None:
        return await self.remote.get(
            f"{call}:{signal}", lambda: self.database.entries.get((call, signal))
        )

    async def known(self, event: CallEvent) -> Known:
        def read() -> Known:
            return Known(self.database.entry(event), self.database.call(event.call_id))

        return await self.remote.get(f"{event.call_id}:{event.signal_id}", read)

    async def missed(self, user: UserId, now: datetime) -> list[Entry]:
        def read() -> list[Entry]:
            found = [
                entry
                for entry in self.database.entries.values()
                if user in entry.event.users and entry.event.expires > now
            ]
            last = sorted(found, key=lambda entry: entry.event.expires, reverse=True)
            return sorted(last[:_MISSED_LIMIT], key=lambda entry: entry.created)

        return await self.remote.query(user, read)

    async def waiting(self, before: datetime) -> AsyncIterator[Page]:
        after = 0
        while True:
            first, after = after, after + self.page

            def read(first: int = first, after: int = after) -> list[Entry | Unreadable]:
                return self._waiting(before)[first:after]

            found = await self.remote.query("pendingSince", read)
            yield Page(
                [each for each in found if isinstance(each, Entry)],
                [each for each in found if isinstance(each, Unreadable)],
            )
            if len(found) < self.page:
                return

    def _waiting(self, before: datetime) -> list[Entry | Unreadable]:
        found: list[tuple[datetime, Entry | Unreadable]] = [
            (since, entry) for entry, since in self.database.unreadable.values()
        ]
        found += [
            (entry.pending_since, entry)
            for entry in self.database.entries.values()
            if entry.pending_since
        ]
        found = [each for each in found if each[0] <= before]
        return [entry for _, entry in sorted(found, key=lambda each: each[0])]

    async def claim(self, entry: Entry, claimant: MessageId, now: datetime) -> bool:
        def write() -> bool:
            found = self.database.entry(entry.event)
            if found is None or found.version != entry.version:
                return False
            self.database.put_entry(replace(found, claimed_by=claimant, claimed_at=now))
            return True

        return await self.remote.commit(f"{entry.event.call_id}:{entry.event.signal_id}", write)

    async def note_served(
        self,
        event: CallEvent,
        served: Collection[ConnectionId],
        now: datetime,
        *,
        is_done: bool,
        dead: Sequence[Connection] = (),
    ) -> None:
        def write() -> None:
            for connection in dead:
                self.database.close(connection.id, now)
            if entry := self.database.entry(event):
                pending_since = None if is_done else entry.pending_since
                noted = replace(entry, served=entry.served | set(served))
                self.database.put_entry(replace(noted, pending_since=pending_since))

        if is_done or served or dead:
            await self.remote.commit(f"{event.call_id}:{event.signal_id}", write)

    async def note_pushed(self, event: CallEvent, pushed: Iterable[Device]) -> None:
        ids: set[DeviceId] = {device.id for device in pushed}

        def write() -> None:
            if entry := self.database.entry(event):
                self.database.put_entry(replace(entry, pushed=entry.pushed | ids))

        if ids:
            await self.remote.commit(f"{event.call_id}:{event.signal_id}", write)

    async def note_caught_up(self, events: Iterable[CallEvent], connection: ConnectionId) -> None:
        noted = list(events)

        def write() -> None:
            for event in noted:
                if entry := self.database.entry(event):
                    self.database.put_entry(replace(entry, served=entry.served | {connection}))

        if noted:
            await self.remote.commit(connection, write)

    async def remove(self, unreadable: Unreadable) -> None:
        def write() -> None:
            found = self.database.unreadable.get(unreadable.id)
            if found and found[0].version == unreadable.version:
                del self.database.unreadable[unreadable.id]

        await self.remote.commit(unreadable.id, write)
