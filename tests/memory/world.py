"""The store in memory, and what others do to what is in it."""

from dataclasses import dataclass, replace
from datetime import datetime

from functions.calls.call import Call, CallId, ConnectionId, SignalId, Status
from functions.calls.event import CallEvent
from functions.ports.store import Store, Unreadable
from tests.memory.database import Database
from tests.support.makers import CALL, CALLER, RECEIVER


@dataclass(frozen=True)
class MemoryWorld:
    """A World in memory."""

    database: Database
    store: Store

    async def ring(
        self,
        call: CallId = CALL,
        status: str = Status.RINGING,
        *,
        signal_id: SignalId | None = None,
        rings_until: datetime | None = None,
    ) -> None:
        made = Call(call, CALLER, RECEIVER, Status(status), signal_id, rings_until)
        self.database.put_call(made)

    async def call(self, call: CallId = CALL) -> Call | None:
        return self.database.call(call)

    async def delete_call(self, call: CallId = CALL) -> None:
        del self.database.calls[call]

    async def delete_connection(self, id: str) -> None:
        self.database.connections.pop(ConnectionId(id), None)
        self.database.unknown_closed.discard(ConnectionId(id))

    async def pend(self, made: CallEvent, since: datetime) -> None:
        entry = self.database.entry(made)
        assert entry is not None
        self.database.put_entry(replace(entry, pending_since=since))

    async def pending_calls(self) -> set[str]:
        return {
            entry.event.call_id for entry in self.database.entries.values() if entry.pending_since
        }

    async def put_unreadable(self, id: str, since: datetime) -> None:
        found = Unreadable(id, self.database.tick(), "event: it is none")
        self.database.unreadable[id] = (found, since)

    async def ids_in(self, collection: str) -> set[str]:
        match collection:
            case "calls":
                return set(self.database.calls)
            case "connections":
                return {*self.database.connections, *self.database.unknown_closed}
            case "devices":
                return set(self.database.devices)
            case "outbox":
                names = {f"{call}:{signal}" for call, signal in self.database.entries}
                return names | set(self.database.unreadable)
            case "polls":
                return set(self.database.polls)
            case other:
                raise KeyError(other)
