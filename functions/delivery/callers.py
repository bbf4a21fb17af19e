"""Ends the rings whose callers are gone: who has no connection any more has given up."""

from datetime import timedelta

from functions.calls.call import Status
from functions.calls.event import CallEvent, unix_ms
from functions.calls.transitions import CALLER_GONE, Signal
from functions.delivery.commit import Received
from functions.delivery.signaling import Signaling
from functions.ports.clock import Clock
from functions.ports.scheduler import Scheduler
from functions.ports.store import Store, StoredCall
from functions.published import ConnectionClosed
from functions.scheduled import CallerCheck
from functions.telemetry import Log

log = Log(__name__)


class Callers:
    """Looks after the callers of calls that were initiated by a connection.

    Once he has lost that connection, it is looked every `grace` whether he has any: who has none
    just then is gone.
    """

    def __init__(
        self,
        store: Store,
        signaling: Signaling,
        scheduler: Scheduler,
        clock: Clock,
        grace: timedelta,
    ) -> None:
        """No caller is looked after if there is no `grace`."""
        self._store = store
        self._signaling = signaling
        self._scheduler = scheduler
        self._clock = clock
        self._grace = grace

    async def closed(self, event: ConnectionClosed) -> None:
        """Has the calls looked at that were initiated by a connection which is closed now. Costs 1
        BatchGetDocuments, and 1 CreateTask for each call that may still ring. Raises
        StoreUnavailable and NotScheduled."""
        now = self._clock()
        if not self._grace or event.expired(now):
            return
        connection = await self._store.connections.get(event.connection_id, now)
        if connection is None or connection.owner is None:
            return
        for call, ring in connection.calling.items():
            await self._look_later(
                CallerCheck(
                    call_id=call,
                    signal_id=ring.signal_id,
                    user_id=connection.owner,
                    rings_until_ms=unix_ms(ring.rings_until),
                )
            )

    async def began(self, ring: CallEvent) -> None:
        """Has a call looked at whose connection was closed before it rang: whoever saw to the close
        did not find it there. Costs 1 BatchGetDocuments, and perhaps 1 CreateTask; a ring that was
        not initiated by a connection costs nothing. Raises the same."""
        if not self._grace or ring.by_connection is None or ring.rings_until_ms is None:
            return
        found = await self._store.connections.get(ring.by_connection, self._clock())
        if found is None or found.closed_at:
            await self._look_later(
                CallerCheck(
                    call_id=ring.call_id,
                    signal_id=ring.signal_id,
                    user_id=ring.caller_id,
                    rings_until_ms=ring.rings_until_ms,
                )
            )

    async def check(self, task: CallerCheck, received: Received) -> None:
        """Cancels the call if its caller has no connection, and looks again later if he has.

        Costs 1 BatchGetDocuments; if the call still rings 1 RunQuery, and 1 CreateTask or what a
        signal costs beside its first read. Safe to run twice. Raises StoreUnavailable,
        PublishFailed and NotScheduled.
        """
        stored = await self._store.calls.get(task.call_id)
        if not isinstance(stored, StoredCall) or not _rings(stored, task):
            return
        open_now = await self._store.connections.of([task.user_id], self._clock())
        # A phone that hears of another call alone is no caller.
        if any(each.only_call is None for each in open_now):
            await self._look_later(task)
            return
        gone = Signal(CALLER_GONE, task.call_id, reason=None)
        verdict = await self._signaling.handle_read(gone, task.user_id, stored, received)
        log.info("caller gone", outcome=verdict.outcome, cause=verdict.cause)

    async def _look_later(self, task: CallerCheck) -> None:
        """Not if the ring has ended by then."""
        at = self._clock() + self._grace
        if at < task.rings_until:
            await self._scheduler.schedule(task, at)


def _rings(stored: StoredCall, task: CallerCheck) -> bool:
    """Whether the ring that the task is for goes on."""
    call = stored.call
    is_his = call.caller == task.user_id and call.signal_id == task.signal_id
    return is_his and call.status is Status.RINGING
