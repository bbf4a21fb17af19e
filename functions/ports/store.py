"""The port to the store, which keeps calls, connections, devices and the outbox."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from functions.attempt import MessageId
from functions.calls.call import (
    Call,
    CallId,
    ConnectionId,
    SignalId,
    Status,
    UnreadableCall,
    UserId,
)
from functions.calls.event import CallEvent
from functions.clients.connection import Connection
from functions.clients.device import Device, DeviceId, FcmAddress, Platform
from functions.ports.identity import Identified
from functions.ports.polls import Polls


class StoreUnavailable(Exception):
    """The store gave no usable reply; a write may have happened all the same."""


class StoreConflict(Exception):
    """The document changed since it was read, and nothing was written."""


@dataclass(frozen=True, slots=True)
class StoredCall:
    """A call as it was read; `version` is the precondition of the next write."""

    call: Call
    version: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """An event in the outbox, who has it, and which copy of it is being delivered, since when."""

    event: CallEvent
    created: datetime  # when the event and the call's new status were committed
    version: datetime
    pending_since: datetime | None  # None once no socket is left to be told
    served: frozenset[ConnectionId]  # connections that have the event, or can never take it
    pushed: frozenset[DeviceId]  # devices that have the event, or can never take it
    claimed_by: MessageId | None  # the copy that is being delivered
    claimed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Birth:
    """Who came first, a call or its cancel. Once it has expired, it says nothing any more."""

    is_cancelled: bool
    expires_at: datetime
    version: datetime


@dataclass(frozen=True, slots=True)
class Born:
    """A call, and what there is of its birth."""

    call: StoredCall | UnreadableCall | None
    birth: Birth | None = None

    def is_cancelled(self, now: datetime) -> bool:
        """Whether the call is not there, and has been cancelled before it is."""
        birth = self.birth
        return self.call is None and bool(birth and birth.is_cancelled and now < birth.expires_at)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The connection and the call of a signal, as `Calls.load` finds them; None if not there."""

    connection: Connection | None
    call: StoredCall | UnreadableCall | None


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What became of a commit that failed, or that was not answered."""

    is_ours: bool  # the commit was done, whatever became of the call since
    entry: Entry | None  # of our commit; None also if it can't be read
    call: StoredCall | UnreadableCall | None  # as it stands now
    birth: Birth | None = None  # of a call that was to be created


@dataclass(frozen=True, slots=True)
class Known:
    """What the store knows of an event that comes late: who has it, and how its call stands."""

    entry: Entry | None  # None also if it can't be read
    call: Call | None  # None also if it can't be read


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An outbox entry that is no event of ours, and so can't be delivered."""

    id: str
    version: datetime
    error: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the entries that are pending, oldest first."""

    entries: Sequence[Entry]
    unreadable: Sequence[Unreadable]


@dataclass(frozen=True, slots=True)
class Mention:
    """A call's document that names a user, as it was read."""

    id: CallId
    version: datetime
    fields: frozenset[str]  # those of the document that name him
    said: frozenset[str]  # those that we wrote of what the parties, or their app, had to say
    call: Call | None  # None if it can't be read


@dataclass(frozen=True, slots=True)
class Overdue:
    """The document of a call of ours whose ring should have ended, as it was read."""

    id: CallId
    version: datetime
    call: Call | None  # None if it can't be read


class Calls(Protocol):
    """Every method raises StoreUnavailable.

    `warm_up` opens the channel that the first frame would have to wait for.
    """

    async def load(self, call: CallId, connection: ConnectionId, now: datetime) -> Loaded:
        """Reads a call, and the connection that its signal came by."""

    async def get(self, call: CallId) -> StoredCall | UnreadableCall | None: ...

    async def born(self, call: CallId, caller: UserId) -> Born: ...

    async def reload(self, event: CallEvent) -> Reloaded:
        """Finds out what became of a commit of `event` that failed or was not answered."""

    async def commit(
        self, stored: StoredCall, event: CallEvent, on: Connection | None = None
    ) -> None:
        """Writes both the call's new status and its outbox entry, or neither. A ring that was
        initiated `on` a connection is noted there too.

        Raises StoreConflict when the call changed since `stored` was read.
        """

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
        """Writes a new call, which is ours until it `expires`, with its birth, and the outbox entry
        of its ring if it has one; or nothing. `birth` is what there was of it and does not count
        any more. A call that was initiated `on` a connection is noted there too.

        Raises StoreConflict when there is such a call, or another birth.
        """

    async def create_cancelled(self, call: Call, *, now: datetime, expires: datetime) -> None:
        """Writes a call that was cancelled before it was there, and of which nobody is told.

        Raises StoreConflict when there is such a call.
        """

    async def forestall(self, call: CallId, caller: UserId, now: datetime) -> bool:
        """Notes that `caller` has cancelled a call that is not there, or not his: if it comes
        within a minute, it is born cancelled. False if it has come first."""

    async def of(self, user: UserId, statuses: Collection[Status]) -> list[StoredCall]:
        """The calls of which the user is a party, in one of these statuses; of many, some."""

    async def current(self, ids: Iterable[CallId]) -> Mapping[CallId, Call]:
        """Those of the calls that are there and can be read."""

    def overdue(self, before: datetime) -> AsyncIterator[Sequence[Overdue]]:
        """Calls of ours whose rings should have ended at `before` or earlier, page by page, the
        ones that are due longest first. One that rings no more, as its document has been changed by
        others, is among them until `note_silent`."""

    async def note_silent(self, overdue: Overdue) -> None:
        """Notes that the call rings no more, unless it has changed since it was read."""

    async def mentions(self, user: UserId) -> list[Mention]:
        """The calls that name the user as a party; of many, some."""

    async def pseudonymise(self, mentions: Sequence[Mention], pseudonym: UserId) -> int:
        """Puts `pseudonym` in the user's place, and removes what the parties have said by us, in
        those of the calls that are as they were read. How many they were."""

    async def warm_up(self) -> None: ...


class Connections(Protocol):
    """Every method raises StoreUnavailable. A connection that has expired is not there."""

    async def get(self, id: ConnectionId, now: datetime) -> Connection | None: ...

    async def of(self, users: Collection[UserId], now: datetime) -> list[Connection]:
        """The connections by which these users, at most 30, are told."""

    async def add(self, connection: Connection) -> bool:
        """Stores a new connection. False if its `$disconnect` was handled before its `$connect`."""

    async def note_opened(self, id: ConnectionId) -> None:
        """Notes that the connection, if it is still there, has had its open packet."""

    async def admit(
        self,
        connection: Connection,
        admitted: Identified,
        received_at: datetime | None,
        expires: datetime,
    ) -> bool:
        """Makes the connection the user's who is `admitted`, with his profile, by a CONNECT that
        API Gateway got at `received_at`; it is told in `connection.namespace`, and is also in
        those that the connection names. If the handshake has shown somebody else, it forgets whom.
        False if the connection has changed since it was read."""

    async def move(self, connection: Connection) -> bool:
        """Notes in which namespaces its client is from now on, and since when. False if the
        connection has changed since it was read."""

    async def leave(
        self,
        connection: Connection,
        received_at: datetime | None,
        now: datetime,
        admit_by: datetime | None = None,
    ) -> bool:
        """Ends the session, by a goodbye that API Gateway got at `received_at` (None: about `now`):
        nobody is told any more. Who was refused must be admitted until `admit_by`. False if the
        connection has changed since it was read."""

    async def close(self, id: ConnectionId, now: datetime) -> None:
        """Notes that the socket is closed. For a minute more the connection says who owns it."""

    async def unadmitted(self, now: datetime) -> list[Connection]:
        """Those that had to be admitted until `now` and have not been, at most 300, the ones that
        are due longest first."""

    async def turn_away(self, connection: Connection, now: datetime, admit_by: datetime) -> bool:
        """Admits nobody by this connection any more. If its socket is not known to be closed by
        `admit_by`, it is due again. False if the connection has changed since it was read."""

    def naming(self, user: UserId) -> AsyncIterator[Sequence[Connection]]:
        """All that name the user, page by page: those by which he is told, those he has left, those
        whose handshake has shown his token; also those that are closed or have expired."""

    async def remove(self, connections: Sequence[Connection]) -> int:
        """Deletes those that are as they were read. How many they were."""


class Devices(Protocol):
    """Every method raises StoreUnavailable. A device that has expired is not there."""

    async def of(self, users: Collection[UserId], now: datetime) -> list[Device]:
        """The devices of these users, at most 30."""

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
        """Makes the device with this address `user`'s, also if it was another user's. If it has
        registered `by` a connection, that one is known to be on it."""

    async def unregister(self, user: UserId, device: DeviceId) -> bool:
        """Deletes the device, unless it is another user's. False if it was not there, or his."""

    async def remove_all(self, user: UserId) -> int:
        """Deletes all of the user's devices, also those that have expired. How many they were."""

    async def forget(self, device: Device) -> None:
        """Deletes the device, unless it has registered again since it was read."""


class Outbox(Protocol):
    """Every method raises StoreUnavailable. A note on an entry that is gone is dropped.

    `entry` gives None also if the entry can't be read.
    """

    async def entry(self, call: CallId, signal: SignalId) -> Entry | None: ...

    async def known(self, event: CallEvent) -> Known: ...

    async def missed(self, user: UserId, now: datetime) -> list[Entry]:
        """The entries for `user` that have not expired, oldest first; of more than a hundred, those
        that expire last."""

    def pending(self, before: datetime) -> AsyncIterator[Page]:
        """The entries that are pending since `before` or longer, page by page, oldest first."""

    async def claim(self, entry: Entry, claimant: MessageId, now: datetime) -> bool:
        """Claims the entry for `claimant`. False if the entry has changed since it was read."""

    async def note_served(
        self,
        event: CallEvent,
        served: Collection[ConnectionId],
        now: datetime,
        *,
        is_done: bool,
        dead: Sequence[Connection] = (),
    ) -> None:
        """Notes who has the event, and closes `dead`. With `is_done` it is no longer pending."""

    async def note_pushed(self, event: CallEvent, pushed: Iterable[Device]) -> None:
        """Notes which devices have the event, or will never take it."""

    async def note_caught_up(self, events: Iterable[CallEvent], connection: ConnectionId) -> None:
        """Notes that the connection has these events too."""

    async def remove_for(self, user: UserId) -> None:
        """Deletes the entries for the user and for nobody else."""

    async def remove(self, unreadable: Unreadable) -> None:
        """Deletes the entry, unless it has changed since it was read."""


@dataclass(frozen=True, slots=True)
class Store:
    """The store, in its five parts."""

    calls: Calls
    connections: Connections
    devices: Devices
    outbox: Outbox
    polls: Polls
