"""Delivers an event to those of the recipients' sockets that do not have it yet."""

from collections.abc import Collection
from datetime import datetime

from functions.attempt import Attempt, NotDelivered
from functions.calls.call import ConnectionId, Status
from functions.calls.event import CallEvent
from functions.clients.connection import Connection
from functions.delivery.copies import claim
from functions.delivery.late import as_it_stands, is_expired
from functions.delivery.memory import Memory
from functions.delivery.notify import Report, notify
from functions.delivery.overtaken import tell_end
from functions.ports.clock import Clock
from functions.ports.sockets import Sockets
from functions.ports.store import Entry, Store
from functions.telemetry import Log
from functions.wire.codecs import Codecs

log = Log(__name__)


class Deliverer:
    """Posts an event to the connections that do not have it yet."""

    def __init__(
        self,
        store: Store,
        sockets: Sockets,
        codecs: Codecs,
        memory: Memory[ConnectionId],
        clock: Clock,
    ) -> None:
        self._store = store
        self._sockets = sockets
        self._codecs = codecs
        self._memory = memory
        self._clock = clock

    async def deliver(self, event: CallEvent, attempt: Attempt) -> None:
        """Costs 1 RunQuery, 1 POST for each connection that does not have the event yet, and 1
        Commit. An event that comes late costs 1 BatchGetDocuments before, and a copy 1 Commit more.
        A ring costs what it costs to look whether it has overtaken its end, more.

        Safe to run twice. Raises StoreUnavailable, and NotDelivered if a socket that may be open
        was not reached.
        """
        now = self._clock()
        if is_expired(event, now):
            await self._drop(event, now)
            return
        served = self._memory.of(event.signal_id)
        served.update(event.served or ())
        if attempt.is_late(event, now):
            ring, (event, entry) = event, await as_it_stands(self._store.outbox, event)
            if not event.recipients and ring.status is Status.RINGING:
                connections = await self._store.connections.of(ring.users, now)
                await self._tell_end(ring, connections, now)
            if not await self._is_to_be_told(event, entry, attempt, now):
                return
            served.update(entry.served if entry else ())
        connections = await self._store.connections.of(event.users, now)
        now = self._clock()
        if is_expired(event, now):  # while the store took its time
            await self._drop(event, now)
            return
        unserved = [each for each in connections if not each.is_among(served)]
        report = await notify(self._sockets, self._codecs, unserved, event)
        # A refused post counts as served, as API Gateway would refuse it again.
        served.update(connection.id for connection in report.served + report.refused)
        if event.status is Status.RINGING:
            await self._tell_end(event, connections, now)
        await self._record(event, served, report, now)

    async def _tell_end(
        self,
        ring: CallEvent,
        connections: Collection[Connection],
        now: datetime,
    ) -> None:
        """Looks whether the ring has ended while it was told. One whose post was not confirmed may
        have it all the same."""
        await tell_end(self._store.outbox, self._sockets, self._codecs, ring, connections, now)

    async def _drop(self, event: CallEvent, now: datetime) -> None:
        """Notes that nobody is to be told any more."""
        await self._store.outbox.note_served(event, (), now, is_done=True)

    async def _is_to_be_told(
        self, event: CallEvent, entry: Entry | None, attempt: Attempt, now: datetime
    ) -> bool:
        """Whether a late event is to be told: not if it no longer holds, nor if it is not due."""
        if not event.recipients:
            log.info("no longer true", outcome="untrue")
            await self._drop(event, now)
            return False
        if not await self._is_due(event, entry, attempt, now):
            log.info("superseded", outcome="superseded")
            return False
        return True

    async def _is_due(
        self, event: CallEvent, entry: Entry | None, attempt: Attempt, now: datetime
    ) -> bool:
        """Whether the outbox leaves this attempt something to do: not if the event was delivered,
        nor if it is a copy and another copy is being delivered."""
        is_copy = event.served is None
        if entry is None:
            return not is_copy  # the entry was removed by hand, but its event must still be told
        if entry.pending_since is None:
            return False
        return not is_copy or await claim(self._store.outbox, entry, attempt.message, now)

    async def _record(
        self, event: CallEvent, served: Collection[ConnectionId], report: Report, now: datetime
    ) -> None:
        """Notes who has the event. Raises NotDelivered if one that may be open was not reached."""
        dead = report.dead(now)
        unreached = len(report.failed) + len(report.gone) - len(dead)
        log.info(
            "delivered",
            served=len(report.served),
            dead=len(dead),
            refused=len(report.refused),
            unreached=unreached,
            elsewhere=event.elsewhere(each.user for each in report.served),
        )
        await self._store.outbox.note_served(event, served, now, is_done=not unreached, dead=dead)
        if unreached:
            raise NotDelivered(f"{unreached} connections were not reached")
