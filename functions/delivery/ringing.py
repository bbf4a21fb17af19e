"""The path of a ring that a caller or his backend asks for: decide, commit, notify, publish."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from functions.calls.busy import Busy, Occupancy, is_busy
from functions.calls.call import Call, Status, UnreadableCall, UserId
from functions.calls.decision import LIMITED, Verdict
from functions.calls.event import CallEvent
from functions.calls.ring import BACKENDS_TO_BEGIN, BORN_CANCELLED, BUSY, TAKEN, Ring, decide_ring
from functions.calls.transitions import PushPolicy
from functions.clients.connection import Connection
from functions.delivery.commit import COMMITS, Committed, Committer, NotCommitted, Received
from functions.ports.clock import Clock
from functions.ports.store import Born, Store, StoreConflict, StoredCall, StoreUnavailable
from functions.telemetry import Log

log = Log(__name__)


@dataclass(frozen=True, slots=True)
class RingRules:
    """What holds for every ring."""

    pushes: PushPolicy
    call_ttl: timedelta
    busy: Busy
    longest_call: timedelta  # one that lasts longer has ended, though nobody has said so
    # Counts a caller's ring, and says if it is not one too many; None: he may have no call ring
    # but one that his app's backend has announced.
    may_call: Callable[[UserId], bool] | None


class Ringing:
    """Creates calls, and makes them ring."""

    def __init__(self, store: Store, committer: Committer, clock: Clock, rules: RingRules) -> None:
        self._store = store
        self._committer = committer
        self._clock = clock
        self._rules = rules

    async def begin(
        self,
        ring: Ring,
        received: Received,
        found: StoredCall | UnreadableCall | None = None,
        on: Connection | None = None,
    ) -> Verdict:
        """Creates the call and tells its receiver; the same again is safe. The call may have been
        `found` already, and was initiated `on` a connection, if on any.

        A call that is new costs 1 Commit, and if it is to be told 1 RunQuery, 1 POST for each
        connection and 1 Publish more. One that is there and was not found costs, beside what is
        tried in vain (1 Commit, and 1 RunQuery if it is to be told), 1 BatchGetDocuments, and what
        it costs a new one if it begins to ring only now. A repeat costs 1 BatchGetDocuments more,
        and 1 Publish if the ring's event is still pending. One that has been cancelled before costs
        what is tried in vain, 1 BatchGetDocuments and 1 Commit. To look whether the receiver is
        busy costs 1 RunQuery more.

        Raises StoreUnavailable and PublishFailed: then the call and its outbox entry are both
        written, or neither.
        """
        born, is_checked = Born(found), False
        for _ in range(COMMITS):
            stored = born.call
            decision = decide_ring(stored.call if isinstance(stored, StoredCall) else stored, ring)
            verdict, is_due = decision.verdict, decision.is_to_begin
            if decision.is_repeat and isinstance(stored, StoredCall):
                last = await self._committer.publish_again(stored.call)
                is_due = not _was_told(stored.call, last)
                if last and not stored.call.is_ours:  # its own `ringsUntil`, if any, is not ours
                    verdict = replace(verdict, rings_until=last.rings_until)
            if verdict == TAKEN:
                # To guess at ids counts like calls, and finds out nothing once they are too many.
                return self._callers_refusal(ring, is_announced=False) or TAKEN
            if not is_due or isinstance(stored, UnreadableCall):
                return verdict
            if born.is_cancelled(self._clock()):
                if await self._bear_cancelled(ring):
                    return BORN_CANCELLED
                born = await self._store.calls.born(ring.call_id, ring.caller)
                continue
            if not is_checked and (refused := await self._refused(ring, stored)):
                return refused
            is_checked = True
            begun = await (
                self._told(ring, born, on, received)
                if ring.is_told
                else self._known(ring, born, received)
            )
            if isinstance(begun, Call):
                return replace(verdict, outcome=Status.RINGING, rings_until=begun.rings_until)
            born = begun
        raise StoreUnavailable(f"{COMMITS} commits failed in a row")

    async def _refused(self, ring: Ring, found: StoredCall | None) -> Verdict | None:
        """The verdict that keeps the receiver from being rung, if one does."""
        if refused := self._callers_refusal(ring, is_announced=found is not None):
            return refused
        statuses = self._rules.busy.statuses
        if not ring.is_told or not statuses:
            return None
        engaging = await self._store.calls.of(ring.receiver, statuses)
        others = [Occupancy(each.call, each.version) for each in engaging]
        parties = {ring.caller, ring.receiver}
        is_engaged = is_busy(others, parties, self._clock(), self._rules.longest_call)
        return BUSY if is_engaged else None

    def _callers_refusal(self, ring: Ring, *, is_announced: bool) -> Verdict | None:
        """The verdict on a caller who may not have this call ring."""
        may_call = self._rules.may_call
        if not ring.is_initiated or (may_call is None and is_announced):
            return None
        if may_call is None:
            return BACKENDS_TO_BEGIN
        if may_call(ring.caller):
            return None
        log.warning("too many calls", outcome="limited")
        return LIMITED

    async def _bear_cancelled(self, ring: Ring) -> bool:
        """Creates a call that its caller has cancelled before it came, and of which nobody is told.
        False if it is there all the same."""
        now = self._clock()
        call = Call(ring.call_id, ring.caller, ring.receiver, Status.CANCELLED)
        try:
            await self._store.calls.create_cancelled(call, now=now, expires=self._expires())
        except StoreConflict:
            return False
        born = BORN_CANCELLED
        log.info("born cancelled", callId=ring.call_id, outcome=born.outcome, cause=born.cause)
        return True

    async def _known(self, ring: Ring, born: Born, received: Received) -> Call | Born:
        """Creates a call of which nobody is told."""
        now = self._clock()
        call = ring.begun(received.signal_id, now, None)
        calls, expires = self._store.calls, self._expires()
        try:
            await calls.create(call, None, now=now, expires=expires, birth=born.birth)
        except StoreConflict:
            return await self._store.calls.born(call.id, call.caller)
        return call

    async def _told(
        self, ring: Ring, born: Born, on: Connection | None, received: Received
    ) -> Call | Born:
        """Creates a call that rings, or makes one ring that was only known."""
        now = self._clock()
        stored = born.call if isinstance(born.call, StoredCall) else None
        call = ring.begun(received.signal_id, now, stored.call if stored else None)
        event = CallEvent.of_ring(call, received.signal_id, now, self._rules.pushes, ring.by)
        calls = self._store.calls
        write = (
            partial(calls.commit, stored, event, on)
            if stored
            else partial(
                calls.create,
                call,
                event,
                now=now,
                expires=self._expires(),
                birth=born.birth,
                on=on,
            )
        )
        attempted = await self._committer.commit(event, write, received)
        match attempted:
            case Committed():
                await self._committer.tell(attempted, received)
                return replace(call, rings_until=attempted.event.rings_until)
            case NotCommitted():
                return Born(attempted.stored, attempted.birth)

    def _expires(self) -> datetime:
        return self._clock() + self._rules.call_ttl


def _was_told(call: Call, last: CallEvent | None) -> bool:
    """Whether the last that happened to the call, if that is still known, is its ring. A document
    that rings again may name an earlier end."""
    # An entry outlives its ring, and TTL removes it later.
    return call.is_ours if last is None else last.status is Status.RINGING
