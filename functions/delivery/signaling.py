"""The one path of a signal: load, decide, commit, notify, publish."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from functions.calls.call import Call, ConnectionId, SignalId, UnreadableCall, UserId
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
_TRIED_FOR = timedelta(seconds=10)  # API Gateway waits for 29 s, and one try can take twelve

log = Log(__name__)


@dataclass(frozen=True, slots=True)
class Received:
    """The times of a signal, and its id."""

    signal_id: SignalId
    began_at: datetime  # when the function began to carry it out
    received_at: datetime | None  # when API Gateway got the frame, or `api` the request


@dataclass(frozen=True, slots=True)
class _Committed:
    """The event is in the outbox. `unserved` are the connections that are to be told; None leaves
    them to `deliver`."""

    event: CallEvent
    unserved: Sequence[Connection] | None


@dataclass(frozen=True, slots=True)
class _NotCommitted:
    """Nothing was written; `stored` is the call as it stands now."""

    stored: StoredCall | UnreadableCall | None


class Signaling:
    """Carries out signals."""

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

    async def handle(self, signal: Signal, connection: ConnectionId, received: Received) -> Verdict:
        """Carries out a `signal` that came by a frame, and gives the verdict on it.

        Costs 1 BatchGetDocuments. If the call changes, it costs 1 Commit and 1 RunQuery, 1 POST for
        each connection and 1 Publish more. A commit that fails or is not answered costs 1
        BatchGetDocuments more, and then 1 RunQuery if it was done, or what another try costs. A
        repeat costs 1 BatchGetDocuments more, and 1 Publish if the call's event is still pending.

        Raises StoreUnavailable and PublishFailed: then the call and its outbox entry are both
        written, or neither. Repeating the signal is safe.
        """
        loaded = await self._store.calls.load(signal.call_id, connection, received.began_at)
        # The sender is judged once: he has sent the frame, whatever becomes of its connection.
        sender = sender_of(loaded.connection, received.received_at)
        if isinstance(sender, Verdict):
            return sender
        return await self._carry_out(signal, sender, loaded.call, received)

    async def handle_of(self, signal: Signal, sender: UserId, received: Received) -> Verdict:
        """Carries out a `signal` of `sender`, who is known, at the same costs as by a frame. Raises
        the same."""
        stored = await self._store.calls.get(signal.call_id)
        return await self._carry_out(signal, sender, stored, received)

    async def _carry_out(
        self,
        signal: Signal,
        sender: UserId,
        stored: StoredCall | UnreadableCall | None,
        received: Received,
    ) -> Verdict:
        for _ in range(_COMMITS):
            call = stored.call if isinstance(stored, StoredCall) else stored
            decision = decide(call, signal, sender)
            if not isinstance(stored, StoredCall) or decision.transition is None:
                if isinstance(call, Call) and decision.is_repeat:
                    await self._republish(call)
                return decision.verdict
            # Each try makes the event anew, so that its times count from the commit that succeeds.
            event = CallEvent.of(
                stored.call,
                decision.transition,
                signal,
                sender,
                received.signal_id,
                self._clock(),
            )
            attempted = await self._commit(stored, event, sender, received)
            match attempted:
                case _NotCommitted():
                    stored = attempted.stored
                case _Committed():
                    await self._tell(attempted, received)
                    return decision.verdict
        raise StoreUnavailable(f"{_COMMITS} commits failed in a row")

    async def _republish(self, call: Call) -> None:
        """Costs 1 BatchGetDocuments, and 1 Publish if the call's event is still pending."""
        if call.signal_id is None:
            return
        entry = await self._store.outbox.entry(call.id, call.signal_id)
        if entry and entry.pending_since:
            await self._publisher.publish(entry.event.served_to(None))

    # Commit

    async def _commit(
        self, stored: StoredCall, event: CallEvent, sender: UserId, received: Received
    ) -> _Committed | _NotCommitted:
        """Commits the event, and looks up meanwhile who is to be told."""
        look_up = asyncio.create_task(self._look_up(event))
        try:
            await self._store.calls.commit(stored, event, by=sender)
        except (StoreConflict, StoreUnavailable) as error:
            look_up.cancel()
            return await self._after_failure(error, event, received)
        except BaseException:
            look_up.cancel()
            raise
        return _Committed(event, await look_up)

    async def _after_failure(
        self, error: Exception, event: CallEvent, received: Received
    ) -> _Committed | _NotCommitted:
        """Finds out what became of a commit that failed or was not answered."""
        reloaded = await self._store.calls.reload(event)
        if reloaded.is_ours:
            return _Committed(event, await self._unserved_late(event, reloaded))
        if self._clock() - received.began_at > _TRIED_FOR:
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
        return _NotCommitted(reloaded.call)

    async def _unserved_late(
        self, event: CallEvent, reloaded: Reloaded
    ) -> Sequence[Connection] | None:
        """The connections to be told of a commit that was done some seconds ago: those that have
        not been told meanwhile. None if the event has been delivered, or does not hold any more."""
        entry = reloaded.entry
        call = reloaded.call.call if isinstance(reloaded.call, StoredCall) else None
        if (entry and entry.pending_since is None) or not event.still_true(call):
            return None
        served = entry.served if entry else frozenset()
        return [each for each in await self._look_up(event) if each.id not in served]

    async def _look_up(self, event: CallEvent) -> list[Connection]:
        """The recipients' connections, or none if they can't be had in time. Costs 1 RunQuery."""
        try:
            async with asyncio.timeout(self._direct_post_timeout.total_seconds()):
                return await self._store.connections.of(event.users, event.decided_at)
        except (StoreUnavailable, TimeoutError) as error:
            log.warning("look-up failed", callId=event.call_id, error=repr(error))
        except Exception:
            log.exception("look-up failed", callId=event.call_id)
        return []  # `deliver` looks again, so neither the commit nor the publish depends on this

    # Notify and publish

    async def _tell(self, committed: _Committed, received: Received) -> None:
        """Posts and publishes, within four seconds: `sweep` may republish the event after six."""
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
        """Posts the event, and gives the connections that are known to have it."""
        timeout = self._direct_post_timeout
        report = await notify(self._sockets, connections, event, within=timeout)
        log.info(
            "told",
            callId=event.call_id,
            signalId=event.signal_id,
            outcome=event.status.value,
            latencyMs=latency_ms(received.received_at, self._clock()),
            served=len(report.served),
            unserved=len(report.gone) + len(report.refused) + len(report.failed),
        )
        return [connection.id for connection in report.served]
