"""The path of a ring that an app's backend asks for: decide, commit, notify, publish."""

from dataclasses import replace
from datetime import timedelta
from functools import partial

from functions.calls.call import Call, Status, UnreadableCall
from functions.calls.decision import Verdict
from functions.calls.event import CallEvent
from functions.calls.ring import Ring, decide_ring
from functions.calls.transitions import PushPolicy
from functions.delivery.commit import COMMITS, Committed, Committer, NotCommitted, Received
from functions.ports.clock import Clock
from functions.ports.store import Store, StoreConflict, StoredCall, StoreUnavailable

_Found = StoredCall | UnreadableCall | None


class Ringing:
    """Creates calls, and makes them ring."""

    def __init__(
        self,
        store: Store,
        committer: Committer,
        clock: Clock,
        pushes: PushPolicy,
        call_ttl: timedelta,
    ) -> None:
        self._store = store
        self._committer = committer
        self._clock = clock
        self._pushes = pushes
        self._call_ttl = call_ttl

    async def begin(self, ring: Ring, received: Received) -> Verdict:
        """Creates the call and tells its receiver; the same again is safe.

        A call that is new costs 1 Commit, and if it is to be told 1 RunQuery, 1 POST for each
        connection and 1 Publish more. One that is there costs, beside what is tried in vain (1
        Commit, and 1 RunQuery if it is to be told), 1 BatchGetDocuments, and what it costs a new
        one if it begins to ring only now. A repeat costs 1 BatchGetDocuments more, and 1 Publish if
        the ring's event is still pending.

        Raises StoreUnavailable and PublishFailed: then the call and its outbox entry are both
        written, or neither.
        """
        found: _Found = None  # as a rule it is not there
        for _ in range(COMMITS):
            decision = decide_ring(found.call if isinstance(found, StoredCall) else found, ring)
            is_due = decision.is_to_begin
            if decision.is_repeat and isinstance(found, StoredCall):
                is_due = not await self._was_told(found.call)
            if not is_due or isinstance(found, UnreadableCall):
                return decision.verdict
            begun = await (self._told if ring.is_told else self._known)(ring, found, received)
            if isinstance(begun, Call):
                return replace(
                    decision.verdict, outcome=Status.RINGING, rings_until=begun.rings_until
                )
            found = begun.stored
        raise StoreUnavailable(f"{COMMITS} commits failed in a row")

    async def _was_told(self, call: Call) -> bool:
        """Whether the last that happened to the call is its ring, whose event is then published
        once more if it is still pending. A document that rings again may name an earlier end."""
        last = await self._committer.publish_again(call)
        # An entry outlives its ring, and TTL removes it later.
        return call.is_ours if last is None else last.status is Status.RINGING

    async def _known(self, ring: Ring, _: _Found, received: Received) -> Call | NotCommitted:
        """Creates a call of which nobody is told."""
        now = self._clock()
        call = ring.begun(received.signal_id, now, None)
        try:
            await self._store.calls.create(call, None, now + self._call_ttl)
        except StoreConflict:
            return NotCommitted(await self._store.calls.get(call.id))
        return call

    async def _told(self, ring: Ring, found: _Found, received: Received) -> Call | NotCommitted:
        """Creates a call that rings, or makes one ring that was only known."""
        now = self._clock()
        stored = found if isinstance(found, StoredCall) else None
        call = ring.begun(received.signal_id, now, stored.call if stored else None)
        event = CallEvent.of_ring(call, received.signal_id, now, self._pushes)
        calls = self._store.calls
        write = (
            partial(calls.commit, stored, event)
            if stored
            else partial(calls.create, call, event, now + self._call_ttl)
        )
        attempted = await self._committer.commit(event, write, received)
        if isinstance(attempted, Committed):
            await self._committer.tell(attempted, received)
            return replace(call, rings_until=attempted.event.rings_until)
        return attempted
