"""Commits an event, and tells it at once: commit, notify, publish."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from functions.calls.call import Call, ConnectionId, SignalId, UnreadableCall
from functions.calls.event import CallEvent
from functions.clients.connection import Connection
from functions.delivery.copies import HANDLER_AT_WORK
from functions.delivery.notify import notify
from functions.ports.clock import Clock
from functions.ports.publisher import Publisher, PublishFailed
from functions.ports.sockets import Sockets
from functions.ports.store import (
    Birth,
    Reloaded,
    Store,
    StoreConflict,
    StoredCall,
    StoreUnavailable,
)
from functions.telemetry import Log, about, latency_ms
from functions.wire.codecs import Codecs

COMMITS = 3  # tries: a call changes once or twice in its life, so a third conflict means trouble
_TRIED_FOR = timedelta(seconds=10)  # API Gateway waits for 29 s, and one try can take twelve

log = Log(__name__)


@dataclass(frozen=True, slots=True)
class Received:
    """The times of a signal, and its id."""

    signal_id: SignalId
    began_at: datetime  # when the function began to carry it out
    received_at: datetime | None  # when API Gateway got the frame, or `api` the request


@dataclass(frozen=True, slots=True)
class Committed:
    """The event is in the outbox. `unserved` are the connections that are to be told; None leaves
    them to `deliver`."""

    event: CallEvent
    unserved: Sequence[Connection] | None


@dataclass(frozen=True, slots=True)
class NotCommitted:
    """Nothing was written; `stored` is the call as it stands now, and `birth` what there is of one
    that was to be created."""

    stored: StoredCall | UnreadableCall | None
    birth: Birth | None = None


class Committer:
    """Commits events, and tells them."""

    def __init__(
        self,
        store: Store,
        sockets: Sockets,
        codecs: Codecs,
        publisher: Publisher,
        clock: Clock,
        *,
        direct_post_timeout: timedelta,
    ) -> None:
        self._store = store
        self._sockets = sockets
        self._codecs = codecs
        self._publisher = publisher
        self._clock = clock
        self._direct_post_timeout = direct_post_timeout

    async def commit(
        self, event: CallEvent, write: Callable[[], Awaitable[None]], received: Received
    ) -> Committed | NotCommitted:
        """Has `write` commit the event, and looks up meanwhile who is to be told.

        Costs 1 Commit and 1 RunQuery. A commit that fails or is not answered costs 1
        BatchGetDocuments more, and 1 RunQuery if it was done all the same. Raises StoreUnavailable.
        """
        look_up = asyncio.create_task(self._look_up(event))
        try:
            await write()
        except (StoreConflict, StoreUnavailable) as error:
            look_up.cancel()
            return await self._after_failure(error, event, received)
        except BaseException:
            look_up.cancel()
            raise
        return Committed(event, await look_up)

    async def _after_failure(
        self, error: Exception, event: CallEvent, received: Received
    ) -> Committed | NotCommitted:
        """Finds out what became of a commit that failed or was not answered."""
        reloaded = await self._store.calls.reload(event)
        if reloaded.is_ours:
            # An earlier try may have been done, which made the event of its own times.
            event = reloaded.entry.event if reloaded.entry else event
            return Committed(event, await self._unserved_late(event, reloaded))
        if self._clock() - received.began_at > _TRIED_FOR:
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
        return NotCommitted(reloaded.call, reloaded.birth)

    async def _unserved_late(
        self, event: CallEvent, reloaded: Reloaded
    ) -> Sequence[Connection] | None:
        """The connections to be told of a commit that was done some seconds ago: those that have
        not been told meanwhile. None if the event has been delivered, or does not hold for all of
        its recipients any more."""
        entry = reloaded.entry
        call = reloaded.call.call if isinstance(reloaded.call, StoredCall) else None
        if (entry and entry.pending_since is None) or event.still_true(call) != event.recipients:
            return None
        served = entry.served if entry else frozenset()
        return [each for each in await self._look_up(event) if not each.is_among(served)]

    async def _look_up(self, event: CallEvent) -> list[Connection]:
        """The recipients' connections, or none if they can't be had in time. Costs 1 RunQuery."""
        try:
            async with asyncio.timeout(self._direct_post_timeout.total_seconds()):
                return await self._store.connections.of(event.users, event.decided_at)
        except (StoreUnavailable, TimeoutError) as error:
            names = {"callId": event.call_id, "cause": event.cause}
            log.warning("look-up failed", **names, error=repr(error))
        except Exception:
            log.exception("look-up failed", callId=event.call_id, cause=event.cause)
        return []  # `deliver` looks again, so neither the commit nor the publish depends on this

    async def tell(self, committed: Committed, received: Received) -> None:
        """Posts and publishes, within four seconds: `sweep` may republish the event after six.

        Costs 1 POST for each connection and 1 Publish. Raises PublishFailed.
        """
        event = committed.event
        try:
            async with asyncio.timeout(HANDLER_AT_WORK.total_seconds()):
                with about(callId=event.call_id, cause=event.cause):
                    served = await self._notify(event, committed.unserved, received)
                await self._publisher.publish(event.served_to(served))
        except TimeoutError as error:
            raise PublishFailed("not confirmed in time") from error

    async def publish_again(self, call: Call) -> CallEvent | None:
        """Publishes the last event of a call once more, if it is still pending. Gives the event, if
        it is still in the outbox. Costs 1 BatchGetDocuments, and 1 Publish if it is pending. Raises
        StoreUnavailable and PublishFailed."""
        if call.signal_id is None:
            return None
        entry = await self._store.outbox.entry(call.id, call.signal_id)
        if entry and entry.pending_since:
            await self._publisher.publish(entry.event.served_to(None))
        return entry.event if entry else None

    async def _notify(
        self, event: CallEvent, connections: Sequence[Connection] | None, received: Received
    ) -> list[ConnectionId] | None:
        """Posts the event, and gives the connections that are known to have it; None if they are
        left to `deliver`. In any case there is one line, by which changes are counted."""
        timeout = self._direct_post_timeout
        posted = connections or ()
        report = await notify(self._sockets, self._codecs, posted, event, within=timeout)
        log.info(
            "told",
            callId=event.call_id,
            signalId=event.signal_id,
            outcome=event.status.value,
            cause=event.cause,
            latencyMs=latency_ms(received.received_at, self._clock()),
            served=len(report.served),
            unserved=len(report.gone) + len(report.refused) + len(report.failed),
            elsewhere=event.elsewhere(each.user for each in report.served),
            withheld=len(event.withheld_recipients),
        )
        if connections is None:
            return None
        return [connection.id for connection in report.served]
