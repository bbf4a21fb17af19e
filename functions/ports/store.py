"""Where calls, connections, devices and the outbox are kept."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from functions.attempt import MessageId
from functions.calls.call import Call, CallId, ConnectionId, SignalId, UserId
from functions.calls.event import CallEvent
from functions.clients.connection import Connection
from functions.clients.device import Device, DeviceId, FcmToken, Platform


class StoreUnavailable(Exception):
    """The store gave no usable answer; a write may have happened all the same."""


class StoreConflict(Exception):
    """The document changed since it was read, and nothing was written."""


@dataclass(frozen=True, slots=True)
class StoredCall:
    """A call as it was read; `version` is the precondition of the next write."""

    call: Call
    version: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """An event in the outbox, who has it, and which copy of it is being delivered since when."""

    event: CallEvent
    created: datetime  # when it was committed, and with it the call's new status
    version: datetime
    pending_since: datetime | None  # None once every recipient has been seen to
    served: frozenset[ConnectionId]
    pushed: frozenset[DeviceId]
    claimed_by: MessageId | None
    claimed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """All that is known of a signal's call and of the connection that it came by."""

    connection: Connection | None
    call: StoredCall | None


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What became of a commit that failed, or that nobody answered."""

    is_ours: bool  # it was done, whatever became of the call since
    entry: Entry | None  # of our commit; None also where nobody can read it
    call: StoredCall | None  # as it stands now; None also where ours was done and it is unreadable


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an event that comes late: who has it, and how its call stands."""

    entry: Entry | None
    call: Call | None  # None also where nobody can read it


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An outbox entry that is no event of ours, and so can't be delivered."""

    id: str
    version: datetime
    error: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the entries that wait, oldest first."""

    entries: Sequence[Entry]
    unreadable: Sequence[Unreadable]


class Calls(Protocol):
    """Every method raises StoreUnavailable."""

    async def load(self, call: CallId, sender: ConnectionId, now: datetime) -> Loaded:
        """A call that can't be read is a fault to its parties, and unknown to all others."""

    async def reload(self, event: CallEvent, reader: UserId) -> Reloaded:
        """After a commit of `event` that may have been done all the same."""

    async def commit(self, stored: StoredCall, event: CallEvent, by: UserId) -> None:
        """The call's new status and its outbox entry, both or neither.

        Raises StoreConflict when the call changed since `stored` was read.
        """

    async def current(self, ids: Iterable[CallId]) -> Mapping[CallId, Call]:
        """The calls that are there and can be read."""

    async def warm_up(self) -> None: ...


class Connections(Protocol):
    """Every method raises StoreUnavailable. What has expired is not there."""

    async def get(self, id: ConnectionId, now: datetime) -> Connection | None: ...

    async def of(self, users: Collection[UserId], now: datetime) -> list[Connection]:
        """By which these users are told, who are at most 30."""

    async def add(self, connection: Connection) -> bool:
        """False if the client has gone: its `$disconnect` was handled before its `$connect`."""

    async def open(self, id: ConnectionId) -> None:
        """The connection has had its open packet, unless it is not there any more."""

    async def admit(
        self, connection: Connection, user: UserId, requested: datetime | None, expires: datetime
    ) -> bool:
        """The connection is `user`'s, by a CONNECT that API Gateway got at `requested`. False if it
        is not as it was read."""

    async def leave(
        self, connection: Connection, requested: datetime | None, now: datetime
    ) -> bool:
        """Nobody is told by the connection any more, since a packet that API Gateway got at
        `requested`, or at about `now`. False if it is not as it was read."""

    async def close(self, id: ConnectionId, now: datetime) -> None:
        """The socket is closed. For a minute the connection says whose its frames are."""


class Devices(Protocol):
    """Every method raises StoreUnavailable. What has expired is not there."""

    async def of(self, users: Collection[UserId], now: datetime) -> list[Device]:
        """The devices of these users, who are at most 30."""

    async def register(
        self, user: UserId, token: FcmToken, platform: Platform, now: datetime, expires: datetime
    ) -> None:
        """A token that another user had is this user's from now on."""

    async def unregister(self, user: UserId, token: FcmToken) -> None:
        """Unless the token is another user's."""

    async def forget(self, device: Device) -> None:
        """Unless the device registered again since it was read."""


class Outbox(Protocol):
    """Every method raises StoreUnavailable. A note on an entry that is gone is dropped."""

    async def entry(self, call: CallId, signal: SignalId) -> Entry | None: ...

    async def known(self, event: CallEvent) -> Known: ...

    async def missed(self, user: UserId, now: datetime) -> list[Entry]:
        """The events for `user` that may still be told, oldest first; of more than a hundred, those
        that expire last."""

    def waiting(self, before: datetime) -> AsyncIterator[Page]:
        """What has been pending since `before`, page by page, oldest first."""

    async def claim(self, entry: Entry, claimant: MessageId, now: datetime) -> bool:
        """Whether `claimant` has the entry now; somebody else may have been faster."""

    async def note_served(
        self,
        event: CallEvent,
        served: Collection[ConnectionId],
        now: datetime,
        *,
        is_done: bool,
        dead: Sequence[Connection] = (),
    ) -> None:
        """Who has the event, whether that is all, and which connections are to be closed."""

    async def note_pushed(self, event: CallEvent, pushed: Iterable[Device]) -> None:
        """Which devices have the event, or will never take it."""

    async def note_caught_up(self, events: Iterable[CallEvent], connection: ConnectionId) -> None:
        """The connection has these events as well."""

    async def remove(self, unreadable: Unreadable) -> None:
        """Unless it was mended since it was read."""


@dataclass(frozen=True, slots=True)
class Store:
    """Where everything is kept."""

    calls: Calls
    connections: Connections
    devices: Devices
    outbox: Outbox
