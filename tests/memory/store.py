"""The store in memory."""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import ClassVar, Protocol, TypeVar

from functions.attempt import MessageId
from functions.calls.call import (
    Call,
    CallId,
    Cause,
    ConnectionId,
    SignalId,
    Status,
    UnreadableCall,
    UserId,
)
from functions.calls.event import LONGEST_LIFE, CallEvent
from functions.clients.connection import Connection
from functions.clients.device import Device, DeviceId, FcmAddress, Platform, device_id
from functions.clients.poll import SESSION_LASTS, Poll
from functions.clients.profile import NO_PROFILE
from functions.ports.identity import Identified
from functions.ports.polls import Session
from functions.ports.store import (
    Birth,
    Born,
    Entry,
    Known,
    Loaded,
    Mention,
    Overdue,
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
_UNREGISTER_TRIES = 3
_REMOVED_AT_ONCE = 150  # connections

_Reply = TypeVar("_Reply")
_Place = tuple[datetime, str]  # of an entry among those that wait: since when, and its name


class _Make(Protocol):
    """Changes a document that is as it was read; `is_tried`: only says whether it is."""

    def __call__(self, *, is_tried: bool) -> bool: ...


_Change = tuple[str, _Make]  # what it is about, and how it is made


def memory_store(database: Database, network: Network) -> Store:
    remote = _Remote(network)
    return Store(
        calls=MemoryCalls(database, remote),
        connections=MemoryConnections(database, remote),
        devices=MemoryDevices(database, remote),
        outbox=MemoryOutbox(database, remote),
        polls=MemoryPolls(database, remote),
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

    async def changes(self, changes: Sequence[_Change]) -> int:
        """All of them or, where a document has changed, each by itself. How many were made."""

        def write() -> bool:
            is_possible = all(change(is_tried=True) for _, change in changes)
            return is_possible and all(change(is_tried=False) for _, change in changes)

        if not changes:
            return 0
        if await self.commit(" ".join(about for about, _ in changes), write):
            return len(changes)
        each = changes if len(changes) > 1 else ()
        return sum([await self.changes([change]) for change in each])

    async def _call(self, rpc: str, about: str, serve: Callable[[], _Reply]) -> _Reply:
        try:
            return await self.network.call(f"firestore.{rpc}", about, serve)
        except CallFailed as error:
            raise StoreUnavailable(str(error)) from error


@dataclass(frozen=True)
class MemoryCalls:
    database: Database
    remote: _Remote
    page: ClassVar[int] = 300

    async def load(self, call: CallId, connection: ConnectionId, now: datetime) -> Loaded:
        def read() -> Loaded:
            found = self.database.connection(connection, now)
            return Loaded(found, self.database.stored_call(call))

        return await self.remote.get(f"{call} {connection}", read)

    async def get(self, call: CallId) -> StoredCall | UnreadableCall | None:
        return await self.remote.get(call, lambda: self.database.stored_call(call))

    async def reload(self, event: CallEvent) -> Reloaded:
        def read() -> Reloaded:
            entry = self.database.entry(event)
            is_ring = event.status is Status.RINGING
            birth = self.database.births.get((event.call_id, event.caller_id)) if is_ring else None
            stored = self.database.stored_call(event.call_id)
            return Reloaded(entry is not None, entry, stored, birth)

        return await self.remote.get(f"{event.call_id}:{event.signal_id}", read)

    async def born(self, call: CallId, caller: UserId) -> Born:
        def read() -> Born:
            return Born(self.database.stored_call(call), self.database.births.get((call, caller)))

        return await self.remote.get(call, read)

    async def commit(
        self, stored: StoredCall, event: CallEvent, on: Connection | None = None
    ) -> None:
        def write() -> None:
            found = self.database.calls.get(stored.call.id)
            if found is None or found.version != stored.version or self.database.entry(event):
                raise StoreConflict("the call is not as it was read")
            changed = _changed(found.call, event)
            self.database.note_calling(on, event)
            self._put(changed, event)

        await self.remote.commit(f"{event.call_id}:{event.signal_id}", write)

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
        def write() -> None:
            if self.database.stored_call(call.id) or (event and self.database.entry(event)):
                raise StoreConflict("there is such a call")
            if self.database.births.get((call.id, call.caller)) != birth:
                raise StoreConflict("there is such a birth")
            self.database.note_calling(on, event)
            self.database.put_birth(call.id, call.caller, now, is_cancelled=False)
            self._put(call, event)

        await self.remote.commit(f"{call.id}:{call.signal_id}", write)

    async def create_cancelled(self, call: Call, *, now: datetime, expires: datetime) -> None:
        def write() -> None:
            if self.database.stored_call(call.id):
                raise StoreConflict("there is such a call")
            born = replace(call, cause=Cause.CALLER_CANCELLED, is_ours=True, ended_at=now)
            self._put(born, None)
            self.database.changed_by[call.id] = call.caller

        await self.remote.commit(call.id, write)

    async def forestall(self, call: CallId, caller: UserId, now: datetime) -> bool:
        def write(found: Birth | None = None) -> bool:
            if self.database.births.get((call, caller)) != found:
                return False
            self.database.put_birth(call, caller, now, is_cancelled=True)
            return True

        if await self.remote.commit(call, write):
            return True
        birth = await self.remote.get(call, lambda: self.database.births[call, caller])
        if now < birth.expires_at:
            return birth.is_cancelled
        return await self.remote.commit(call, lambda: write(birth))

    async def of(self, user: UserId, statuses: Collection[Status]) -> list[StoredCall]:
        def read() -> list[StoredCall]:
            every = self.database.calls.values()
            his = [each for each in every if each.call.parties(user)]
            return [each for each in his if each.call.status in statuses][:20]

        return await self.remote.query(user, read)

    def _put(self, call: Call, event: CallEvent | None) -> None:
        at = self.database.tick()
        if event is None:
            self.database.calls[call.id] = StoredCall(call, at)
            return
        self.database.changed_by[call.id] = event.by
        self.database.calls[call.id] = StoredCall(call, at)
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

    async def current(self, ids: Iterable[CallId]) -> dict[CallId, Call]:
        wanted = sorted(ids)  # they may be a set, whose order is another in each process

        def read() -> dict[CallId, Call]:
            return {id: call for id in wanted if (call := self.database.call(id))}

        return await self.remote.get(" ".join(wanted), read)

    async def overdue(self, before: datetime) -> AsyncIterator[list[Overdue]]:
        after: _Place | None = None
        while True:

            def read(after: _Place | None = after) -> list[tuple[_Place, Overdue]]:
                found = self.database.overdue(before)
                return [each for each in found if after is None or each[0] > after][: self.page]

            found = await self.remote.query("unringRingsUntil", read)
            yield [stored for _, stored in found]
            if len(found) < self.page:
                return
            after = found[-1][0]

    async def note_silent(self, overdue: Overdue) -> None:
        await self.remote.commit(overdue.id, lambda: self.database.note_silent(overdue))

    async def mentions(self, user: UserId) -> list[Mention]:
        return await self.remote.query(user, lambda: self.database.mentions(user)[: self.page])

    async def pseudonymise(self, mentions: Sequence[Mention], pseudonym: UserId) -> int:
        return await self.remote.changes(
            [(each.id, partial(self.database.pseudonymise, each, pseudonym)) for each in mentions]
        )

    async def warm_up(self) -> None:
        await self.remote.get("warm-up", lambda: None)


def _changed(call: Call, event: CallEvent) -> Call:
    changed = replace(call, status=event.status, signal_id=event.signal_id)
    if event.status is Status.RINGING:
        if not call.is_ours or event.rings_until is None:
            return changed
        seconds = round((event.rings_until - event.decided_at).total_seconds())
        ends = event.rings_until
        return replace(changed, rings_until=ends, ring_seconds=seconds, data=event.data)
    changed = replace(changed, cause=event.cause)
    if event.status is Status.ACCEPTED:
        answered_at = event.decided_at
        changed = replace(changed, answered_at=answered_at, answered_on=event.actor)
    else:
        changed = replace(changed, ended_at=event.decided_at)
    if not call.is_ours:
        return changed
    return replace(changed, rings_until=None, data=None, ring_seconds=None)


@dataclass(frozen=True)
class MemoryConnections:
    database: Database
    remote: _Remote
    page: ClassVar[int] = 300

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
        is_closed = id in self.database.unknown_closed or (found and found.closed_at)
        return not is_closed

    async def note_opened(self, id: ConnectionId) -> None:
        def write() -> None:
            if found := self.database.connections.get(id):
                self.database.put_connection(replace(found, is_open=True))

        await self.remote.commit(id, write)

    async def admit(
        self,
        connection: Connection,
        admitted: Identified,
        received_at: datetime | None,
        expires: datetime,
    ) -> bool:
        shown = connection.shown_user, connection.shown_profile
        if connection.shows_another_than(admitted.user):
            shown = None, NO_PROFILE
        changed = replace(
            connection,
            shown_user=shown[0],
            shown_profile=shown[1],
            owner=admitted.user,
            profile=admitted.profile,
            former_owner=connection.owner,
            former_left_at=connection.left_at,
            user=admitted.user,
            is_open=True,
            admitted_at=received_at,
            closed_at=None,
            left_at=None,
            admit_by=None,
            told_since=None,
            expires_at=expires,
        )
        return await self._if_unchanged(connection, lambda: self.database.put_connection(changed))

    async def move(self, connection: Connection) -> bool:
        return await self._if_unchanged(
            connection, lambda: self.database.put_connection(connection)
        )

    async def leave(
        self,
        connection: Connection,
        received_at: datetime | None,
        now: datetime,
        admit_by: datetime | None = None,
    ) -> bool:
        left_at = received_at or now
        return await self._if_unchanged(
            connection, lambda: self.database.leave(connection, left_at, now, admit_by)
        )

    async def unadmitted(self, now: datetime) -> list[Connection]:
        return await self.remote.query("admitBy", lambda: self.database.unadmitted(now))

    async def turn_away(self, connection: Connection, now: datetime, admit_by: datetime) -> bool:
        return await self._if_unchanged(
            connection, lambda: self.database.close(connection.id, now, admit_by)
        )

    async def close(self, id: ConnectionId, now: datetime) -> None:
        await self.remote.commit(id, lambda: self.database.close(id, now))

    async def naming(self, user: UserId) -> AsyncIterator[list[Connection]]:
        after: ConnectionId | None = None
        while True:

            def read(after: ConnectionId | None = after) -> list[Connection]:
                found = self.database.connections_naming(user)
                return [each for each in found if after is None or each.id > after][: self.page]

            found = await self.remote.query(user, read)
            yield found
            if len(found) < self.page:
                return
            after = found[-1].id

    async def remove(self, connections: Sequence[Connection]) -> int:
        remove = self.database.remove_connection
        changes = [(each.id, partial(remove, each)) for each in connections]
        removed = 0
        for first in range(0, len(changes), _REMOVED_AT_ONCE):
            removed += await self.remote.changes(changes[first : first + _REMOVED_AT_ONCE])
        return removed

    async def _if_unchanged(self, connection: Connection, change: Callable[[], None]) -> bool:
        def write() -> bool:
            is_unchanged = self.database.is_unchanged(connection)
            if is_unchanged:
                change()
            return is_unchanged

        return await self.remote.commit(connection.id, write)


@dataclass(frozen=True)
class MemoryPolls:
    database: Database
    remote: _Remote

    async def begin(self, session: Session) -> None:
        def write() -> None:
            self.database.put_connection(session.connection)
            self.database.put_poll(session.poll)

        await self.remote.commit(session.poll.id, write)

    async def get(self, id: ConnectionId) -> Poll | None:
        return await self.remote.get(id, lambda: self.database.polls.get(id))

    async def session(self, id: ConnectionId, now: datetime) -> Session | None:
        def read() -> Session | None:
            connection, poll = self.database.connection(id, now), self.database.polls.get(id)
            return Session(connection, poll) if connection and poll else None

        return await self.remote.get(id, read)

    async def add(self, id: ConnectionId, packets: Sequence[str]) -> bool:
        return await self._change(id, lambda poll: replace(poll, packets=[*poll.packets, *packets]))

    async def take(
        self, poll: Poll, count: int, taker: str, renewed_until: datetime | None
    ) -> bool:
        def write() -> bool:
            found = self.database.connections.get(poll.id)
            if not self._is_unchanged(poll) or (renewed_until and found is None):
                return False
            left = replace(
                poll,
                packets=poll.packets[count:],
                given=poll.packets[:count],
                taken_by=taker,
            )
            if found and renewed_until:
                self.database.put_connection(replace(found, expires_at=renewed_until))
                left = replace(left, expires_at=renewed_until)
            self.database.put_poll(left)
            return True

        return await self.remote.commit(poll.id, write)

    async def claim(self, poll: Poll, by: Connection) -> bool:
        def write() -> bool:
            known = {*self.database.connections, *self.database.unknown_closed}
            if not self._is_unchanged(poll) or by.id in known:
                return False
            self.database.put_connection(by)
            self.database.put_poll(replace(poll, upgraded_by=by.id))
            return True

        return await self.remote.commit(poll.id, write)

    async def move(self, session: Session, to: Connection, now: datetime) -> bool:
        moved, poll = session.connection, session.poll

        def write() -> bool:
            are_unchanged = all(map(self.database.is_unchanged, (moved, to)))
            if not (are_unchanged and self._is_unchanged(poll)):
                return False
            self.database.put_connection(to)
            self.database.close(moved.id, now)
            was = self.database.connections[moved.id]
            ends = now + LONGEST_LIFE
            self.database.put_connection(replace(was, upgraded_to=to.id, expires_at=ends))
            del self.database.polls[poll.id]
            return True

        return await self.remote.commit(poll.id, write)

    async def close(self, id: ConnectionId, now: datetime, packet: str) -> bool:
        def closed(poll: Poll) -> Poll:
            packets, ends = [*poll.packets, packet], now + SESSION_LASTS
            return replace(poll, packets=packets, is_closed=True, expires_at=ends)

        return await self._change(id, closed)

    def _is_unchanged(self, poll: Poll) -> bool:
        found = self.database.polls.get(poll.id)
        return found is not None and found.version == poll.version

    async def _change(self, id: ConnectionId, change: Callable[[Poll], Poll]) -> bool:
        """What is written twice, as its reply was lost, changes the document once."""
        is_done = False

        def write() -> bool:
            nonlocal is_done
            found = self.database.polls.get(id)
            if found and not is_done:
                self.database.put_poll(change(found))
            is_done = True
            return found is not None

        return await self.remote.commit(id, write)


@dataclass(frozen=True)
class MemoryDevices:
    database: Database
    remote: _Remote
    page: ClassVar[int] = 300

    async def of(self, users: Collection[UserId], now: datetime) -> list[Device]:
        about = " ".join(users)
        return await self.remote.query(about, lambda: self.database.devices_of(users, now))

    async def register(
        self,
        user: UserId,
        address: FcmAddress,
        platform: Platform,
        now: datetime,
        expires: datetime,
        app_id: str | None = None,
        by: ConnectionId | None = None,
    ) -> None:
        def write() -> None:
            version = self.database.tick()
            device = Device(
                device_id(address), user, address, platform, expires, version, now, app_id
            )
            if by:
                found = self.database.connections.get(by)
                if found is None:
                    raise StoreUnavailable("the connection is gone")
                named = app_id or found.device
                on_it = replace(found, device=named, registration=device.id)
                self.database.put_connection(on_it)
            self.database.devices[device.id] = device

        await self.remote.commit(device_id(address), write)

    async def unregister(self, user: UserId, device: DeviceId) -> bool:
        for _ in range(_UNREGISTER_TRIES):
            found = await self.remote.get(device, lambda: self.database.devices.get(device))
            if found is None or found.user != user:
                return False
            if await self._is_forgotten(found):
                return True
        raise StoreUnavailable("the device keeps changing")

    async def remove_all(self, user: UserId) -> int:
        removed = 0
        while found := await self.remote.query(
            user, lambda: self.database.all_devices_of(user)[: self.page]
        ):
            remove = self.database.remove_device
            now_removed = await self.remote.changes(
                [(each.id, partial(remove, each)) for each in found]
            )
            if not now_removed:
                raise StoreUnavailable("the devices keep changing")
            removed += now_removed
        return removed

    async def forget(self, device: Device) -> None:
        await self._is_forgotten(device)

    async def _is_forgotten(self, device: Device) -> bool:
        def write() -> bool:
            found = self.database.devices.get(device.id)
            is_unchanged = found is not None and found.version == device.version
            if is_unchanged:
                del self.database.devices[device.id]
            return is_unchanged

        return await self.remote.commit(device.id, write)


@dataclass(frozen=True)
class MemoryOutbox:
    database: Database
    remote: _Remote
    page: ClassVar[int] = 300  # entries that are read at once

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
                if user in entry.event.users and entry.event.expires_at > now
            ]
            last = sorted(found, key=lambda entry: entry.event.expires_at, reverse=True)
            return sorted(last[:_MISSED_LIMIT], key=lambda entry: entry.created)

        return await self.remote.query(user, read)

    async def pending(self, before: datetime) -> AsyncIterator[Page]:
        after: _Place | None = None
        while True:

            def read(after: _Place | None = after) -> list[tuple[_Place, Entry | Unreadable]]:
                waiting = self._waiting(before)
                return [each for each in waiting if after is None or each[0] > after][: self.page]

            found = await self.remote.query("pendingSince", read)
            yield Page(
                [each for _, each in found if isinstance(each, Entry)],
                [each for _, each in found if isinstance(each, Unreadable)],
            )
            if len(found) < self.page:
                return
            after = found[-1][0]

    def _waiting(self, before: datetime) -> list[tuple[_Place, Entry | Unreadable]]:
        found: list[tuple[_Place, Entry | Unreadable]] = [
            ((since, id), entry) for id, (entry, since) in self.database.unreadable.items()
        ]
        found += [
            ((entry.pending_since, ":".join(key)), entry)
            for key, entry in self.database.entries.items()
            if entry.pending_since
        ]
        return sorted((each for each in found if each[0][0] <= before), key=lambda each: each[0])

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
        def note(entry: Entry) -> Entry:
            pending_since = None if is_done else entry.pending_since
            return replace(entry, served=entry.served | set(served), pending_since=pending_since)

        await self._note(
            [event] if is_done or served else [], note, [each.id for each in dead], now
        )

    async def note_pushed(self, event: CallEvent, pushed: Iterable[Device]) -> None:
        ids: set[DeviceId] = {device.id for device in pushed}
        await self._note(
            [event] if ids else [], lambda entry: replace(entry, pushed=entry.pushed | ids)
        )

    async def note_caught_up(self, events: Iterable[CallEvent], connection: ConnectionId) -> None:
        await self._note(
            list(events), lambda entry: replace(entry, served=entry.served | {connection})
        )

    async def _note(
        self,
        events: Sequence[CallEvent],
        note: Callable[[Entry], Entry],
        dead: Sequence[ConnectionId] = (),
        now: datetime | None = None,
    ) -> None:
        """All of it or, where an entry is gone, nothing; and then each by itself."""

        def write() -> bool:
            entries = [self.database.entry(event) for event in events]
            found = [entry for entry in entries if entry]
            if len(found) < len(entries):
                return False
            for entry in found:
                self.database.put_entry(note(entry))
            for id in dead:
                self.database.close(id, now or self.database.clock())
            return True

        if not events and not dead:
            return
        about = " ".join([*(f"{each.call_id}:{each.signal_id}" for each in events), *dead])
        if not await self.remote.commit(about, write):
            for each in events if len(events) > 1 else ():
                await self._note([each], note)
            await self._note([], note, dead, now)

    async def remove_for(self, user: UserId) -> None:
        found = await self.remote.query(user, lambda: self.database.entries_for(user))
        his = [entry for entry in found if entry.event.users == (user,)]
        remove = self.database.remove_entry
        await self.remote.changes(
            [
                (f"{each.event.call_id}:{each.event.signal_id}", partial(remove, each))
                for each in his
            ]
        )

    async def remove(self, unreadable: Unreadable) -> None:
        def write() -> None:
            found = self.database.unreadable.get(unreadable.id)
            if found and found[0].version == unreadable.version:
                del self.database.unreadable[unreadable.id]

        await self.remote.commit(unreadable.id, write)
