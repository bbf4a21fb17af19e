"""Catch-up: a connection that has just become a user's is told what its user has missed.

This serves a phone that the ring's push has woken and that connects after the caller gave up, and
one whose socket was down for a moment, or half open.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from functions.attempt import NotDelivered
from functions.calls.call import ConnectionId, Status, UserId
from functions.calls.event import CallEvent
from functions.clients.connection import Connection
from functions.delivery.elsewhere import is_told
from functions.delivery.memory import Memory
from functions.delivery.notify import notify
from functions.delivery.overtaken import tell_end
from functions.ports.clock import Clock
from functions.ports.sockets import Sockets
from functions.ports.store import Entry, Store
from functions.published import ConnectionAdmitted
from functions.telemetry import Log
from functions.wire.codecs import Codecs

# The reply to the client's handshake or CONNECT must arrive first: Swift's client drops an event
# that comes before it is connected.
_PAUSE = timedelta(milliseconds=300)

log = Log(__name__)


class CatchUp:
    """Tells a connection those events of its user in the outbox that it does not have."""

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
        # Who has been told a ring of which nobody has seen yet that it was not over by then.
        self._rings: Memory[ConnectionId] = Memory()
        self._clock = clock

    async def tell(self, event: ConnectionAdmitted) -> Connection | None:
        """Gives the connection; None if it is nobody's any more.

        Costs 1 BatchGetDocuments and 1 RunQuery, and 1 BatchGetDocuments more for a client that has
        upgraded. If something was missed, it costs 1 BatchGetDocuments, 1 POST for each event and 1
        Commit more, and 1 Commit if the socket turns out to be dead. Of a ring it costs what it
        costs to look whether it has overtaken its end, more.

        Safe to run twice. Raises StoreUnavailable, and NotDelivered if the connection may be open
        but was not reached.
        """
        if event.expired(self._clock()):
            log.warning("too late", outcome="expired")
            return None
        await asyncio.sleep(_PAUSE.total_seconds())
        now = self._clock()
        connection = await self._found(event.connection_id, now)
        if connection is None or connection.user is None:
            log.info("superseded", outcome="superseded")
            return None
        unserved = await self._unserved(connection, connection.user, now)
        missed = await self._that_hold(unserved, connection.user)
        await self._post(connection, missed, now)
        for ring in unserved:
            is_over = ring.status is Status.RINGING and ring not in missed
            # An attempt before has told it, and failed before it saw that it was over.
            if is_over and connection.id in self._rings.of(ring.signal_id):
                await self._look_after(ring, connection, now)
        return connection

    async def _found(self, id: ConnectionId, now: datetime) -> Connection | None:
        """The connection or, if its client has upgraded since, the one that it has now."""
        connection = await self._store.connections.get(id, now)
        if connection is None or connection.upgraded_to is None:
            return connection
        return await self._store.connections.get(connection.upgraded_to, now)

    async def _unserved(
        self, connection: Connection, user: UserId, now: datetime
    ) -> Sequence[CallEvent]:
        """The events that `user` has missed, oldest first."""
        return [
            entry.event
            for entry in await self._store.outbox.missed(user, now)
            if self._is_unserved(entry, connection) and _is_for(entry.event, connection)
        ]

    async def _that_hold(self, events: Sequence[CallEvent], user: UserId) -> Sequence[CallEvent]:
        """Those that still hold for `user`, as their calls stand now."""
        if not events:
            return ()
        calls = await self._store.calls.current({event.call_id for event in events})
        true = [event.only_for(event.still_true(calls.get(event.call_id))) for event in events]
        return [event for event in true if event.recipient(user)]

    def _is_unserved(self, entry: Entry, connection: Connection) -> bool:
        # An event that was committed after the connection became the user's is left to `deliver`,
        # which looks up the connections after the commit and so finds this one.
        since = connection.told_since or connection.version
        is_later = since is not None and entry.created > since
        served = entry.served | self._memory.of(entry.event.signal_id)
        is_served = connection.is_among(served)
        is_anothers = is_served and _was_another_recipients(entry.event, connection)
        is_unserved = not is_later and (not is_served or is_anothers)
        return is_unserved and connection.hears_of(entry.event.call_id)

    async def _look_after(self, ring: CallEvent, connection: Connection, now: datetime) -> None:
        """Looks whether a ring that the connection has been told ended before that."""
        outbox, sockets, codecs = self._store.outbox, self._sockets, self._codecs
        unseen = self._rings.of(ring.signal_id)
        unseen.add(connection.id)
        await tell_end(outbox, sockets, codecs, ring, [connection], now)
        unseen.discard(connection.id)

    async def _post(
        self, connection: Connection, missed: Sequence[CallEvent], now: datetime
    ) -> None:
        """Posts one event after the other, up to the first failure: the rest would fail too."""
        served: list[CallEvent] = []
        unreached = len(missed)
        is_dead = False
        for event in missed:
            if event.expired(self._clock()):  # while the posts before took their time
                log.warning("expired", outcome="expired", callId=event.call_id, cause=event.cause)
            else:
                report = await notify(self._sockets, self._codecs, [connection], event)
                if not report.served and not report.refused:
                    is_dead = bool(report.dead(now))
                    break
                if event.status is Status.RINGING:
                    await self._look_after(event, connection, now)
                self._memory.of(event.signal_id).add(connection.id)
                served.append(event)
            unreached -= 1
        log.info("caught up", served=len(served), unreached=unreached)
        await self._store.outbox.note_caught_up(served, connection.id)
        if is_dead:
            await self._store.connections.close(connection.id, now)
        elif unreached:
            raise NotDelivered(f"{unreached} events did not reach the connection")


def _was_another_recipients(event: CallEvent, connection: Connection) -> bool:
    """Whether it was the other party's before: it may have the event as that one is told it, which
    says nothing to the one who has come by the same socket since."""
    former = connection.former_owner
    return former != connection.user and event.recipient(former) is not None


def _is_for(event: CallEvent, connection: Connection) -> bool:
    recipient = event.recipient(connection.user)
    return recipient is not None and is_told(event, recipient, connection)
