"""A store to test with, and what others do to it: the app's backend, time, an operator."""

from datetime import datetime
from typing import Protocol

from functions.calls.call import Call, CallId, ConnectionId, SignalId, Status
from functions.calls.event import CallEvent
from functions.ports.store import Store, StoredCall
from tests.support.makers import CALL, now


class World(Protocol):
    """The same in memory and in a Firestore, so that one test can run on both."""

    @property
    def store(self) -> Store: ...

    async def ring(
        self,
        call: CallId = CALL,
        status: str = Status.RINGING,
        *,
        signal_id: SignalId | None = None,
        rings_until: datetime | None = None,
    ) -> None:
        """Writes a call from CALLER to RECEIVER, as the app's backend does."""

    async def call(self, call: CallId = CALL) -> Call | None:
        """The call as it stands now."""

    async def delete_call(self, call: CallId = CALL) -> None: ...

    async def delete_connection(self, id: str) -> None: ...

    async def pend(self, made: CallEvent, since: datetime) -> None:
        """Makes the event's entry older than it is."""

    async def pending_calls(self) -> set[str]:
        """The calls of which an event is not known to have reached all it could."""

    async def put_unreadable(self, id: str, since: datetime) -> None:
        """Writes an outbox entry that is no event of ours."""

    async def ids_in(self, collection: str) -> set[str]: ...


async def committed(world: World, made: CallEvent) -> CallEvent:
    """Puts the event into the outbox, as the commit of the signal that causes it does."""
    await world.ring(made.call_id)
    loaded = await world.store.calls.load(made.call_id, ConnectionId("nobody="), now())
    assert isinstance(loaded.call, StoredCall)
    await world.store.calls.commit(loaded.call, made)
    return made
