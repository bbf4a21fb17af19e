"""The one path of a signal: load, decide, commit, notify, publish."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from functions.calls.call import Call, ConnectionId, SignalId, UserId
from functions.calls.decision import Verdict, decide
from functions.calls.event import CallEvent
from functions.calls.transitions import Signal
from functions.clients.connection import Connection
from functions.clients.sender import sender_of
from functions.delivery.copies import HANDLER_AT_WORK
from functions.delivery.notify import notify
from functions.ports.clock import Clock
from functions.ports.publisher import Publisher, PublishFailed
from functions.ports.sockets import Sockets
from functions.ports.store import Reloaded, Store, StoreConflict, StoredCall, StoreUnavailable
from functions.telemetry import Log, latency_ms

_COMMITS = 3  # tries: a call changes once or twice in its life, so a third conflict means trouble
_TRIED_FOR = timedelta(seconds=10)  # API Gateway waits for 29 s, and each try can take a dozen

log = Log(__name__)


@dataclass(frozen=True, slots=True)
class Received:
    """When and on which connection a frame came, and the id its signal goes by."""

    connection: ConnectionId
    signal_id: SignalId
    now: datetime
    requested: datetime | None  # when API Gateway got the frame


@dataclass(frozen=True, slots=True)
class _Committed:
    """The event is in the outbox. `unserved` are the connections that are to be told; None where
    `deliver` knows better who is."""

    event: CallEvent
    unserved: Sequence[Connection] | None


@dataclass(frozen=True, slots=True)
class _NotCommitted:
    """Nothing was written; `stored` is the call as it stands now."""

    stored: StoredCall | None


class Signaling:
    """Carries signals out."""

    def __init__(
        self,
        store: Store,
        sockets: Sockets,
        publisher: Publisher,
        clock: Clock,
        *,
        direct_post_timeout: timedelta,
    ) -> None:
        self._store = store
        self._sockets = sockets
        self._publisher = publisher
        self._clock = clock
        self._direct_post_timeout = direct_post_timeout

    async def handle(self, signal: Signal, received: Received) -> Verdict:
        """The verdict on `signal`, true by the time it is returned.

        1 BatchGetDocuments; if the call changes 1 Commit and 1 RunQuery, 1 POST for each connection
        and 1 Publish. Raises StoreUnavailable and PublishFailed: nothing is written, or all is, and
        then the outbox has the event. Repeating the signal is safe.
        """
        loaded = await self._store.calls.load(signal.call_id, received.connection, received.now)
        # Judged by this first look: who sent the frame stays, whatever becomes of its connection.
        sender = sender_of(loaded.connection, received.requested)
        if isinstance(sender, Verdict):
            return sender
        stored = loaded.call
        for _ in range(_COMMITS):
            decision = decide(stored.call if stored else None, signal, sender)
            if stored is None or decision.transition is None:
                if stored and decision.is_repeat:
                    await self._republish(stored.call)
                return decision.verdict
            # Anew for each try: from its commit on, the event has its time.
            event = CallEvent.of(
                stored.call,
                decision.transition,
                signal,
                sender,
                received.signal_id,
                self._clock(),
            )
            outcome = await self._commit(stored, event, sender, received)
            match outcome:
                case _NotCommitted():
                    stored = outcome.stored
                case _Committed():
                    await self._tell(outcome, received)
                    return decision.verdict
        raise StoreUnavailable(f"{_COMMITS} commits failed in a row")

    async def _republish(self, call: Call) -> None:
        """1 BatchGetDocuments, and 1 Publish if the call's event is not known to be delivered."""
        if call.signal_id is None:
            return
        entry = await self._store.outbox.entry(call.id, call.signal_id)
        if entry and entry.pending_since:
            await self._publisher.publish(entry.event.served_to(None))

    # Commit

    async def _commit(
        self, stored: StoredCall, event: CallEvent, sender: UserId, received: Received
    ) -> _Committed | _NotCommitted:
        """Commits, and looks up meanwhile who is to be told."""
        look_up = asyncio.create_task(self._look_up(event))
        try:
            await self._store.calls.commit(stored, event, by=sender)
        except (StoreConflict, StoreUnavailable) as error:
            look_up.cancel()
            return await self._after_failure(error, event, sender, received)
        except BaseException:
            look_up.cancel()
            raise
        return _Committed(event, await look_up)

    async def _after_failure(
        self, error: Exception, event: CallEvent, sender: UserId, received: Received
    ) -> _Committed | _NotCommitted:
        """What a commit that failed, or was not answered, has come to. It may have been done."""
        reloaded = await self._store.calls.reload(event, sender)
        if reloaded.is_ours:
            return _Committed(event, await self._unserved_late(event, reloaded))
        if self._clock() - received.now > _TRIED_FOR:
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
        return _NotCommitted(reloaded.call)

    async def _unserved_late(
        self, event: CallEvent, reloaded: Reloaded
    ) -> Sequence[Connection] | None:
        """Who is to be told of a commit that was done some seconds ago: whoever has not heard of it
        meanwhile, and only if the call has not gone on since."""
        entry = reloaded.entry
        call = reloaded.call.call if reloaded.call else None
        if (entry and entry.pending_since is None) or not event.still_true(call):
            return None
        served = entry.served if entry else frozenset()
        return [each for each in await self._look_up(event) if each.id not in served]

    async def _look_up(self, event: CallEvent) -> list[Connection]:
        try:
            async with asyncio.timeout(self._direct_post_timeout.total_seconds()):
                return await self._store.connections.of(event.users, event.decided_at)
        except (StoreUnavailable, TimeoutError) as error:
            # `deliver` looks again; the commit and the publish must not hang on this.
            log.warning("look-up failed", callId=event.call_id, error=repr(error))
            return []

    # Notify and publish

    async def _tell(self, committed: _Committed, received: Received) -> None:
        """Ends within four seconds: `sweep` may take the event up after six."""
        event = committed.event
        try:
            async with asyncio.timeout(HANDLER_AT_WORK.total_seconds()):
                if committed.unserved is None:
                    served = None
                else:
                    served = await self._notify(event, committed.unserved, received)
                await self._publisher.publish(event.served_to(served))
        except TimeoutError as error:
            raise PublishFailed("not confirmed in time") from error

    async def _notify(
        self, event: CallEvent, connections: Sequence[Connection], received: Received
    ) -> list[ConnectionId]:
        """Who is known to have the event."""
        timeout = self._direct_post_timeout
        report = await notify(self._sockets, connections, event, within=timeout)
        log.info(
            "told",
            signal=event.signal,
            callId=event.call_id,
            signalId=event.signal_id,
            outcome=event.status.value,
            latencyMs=latency_ms(received.requested, self._clock()),
            served=len(report.served),
            unserved=len(report.gone) + len(report.refused) + len(report.failed),
        )
        return [connection.id for connection in report.served]
