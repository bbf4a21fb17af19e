"""The path of a ring that an app's backend asks for: create, notify, publish."""

from dataclasses import replace
from datetime import timedelta
from functools import partial

from functions.calls.call import Call, UnreadableCall
from functions.calls.decision import Verdict
from functions.calls.event import CallEvent
from functions.calls.ring import Ring, decide_ring
from functions.calls.transitions import PushPolicy
from functions.delivery.commit import Committed, Committer, NotCommitted, Received
from functions.ports.clock import Clock
from functions.ports.store import Calls, StoreConflict, StoredCall, StoreUnavailable

_COMMITS = 3  # tries, as of a signal


class Ringing:
    """Creates calls, and makes them ring."""

    def __init__(
        self,
        calls: Calls,
        committer: Committer,
        clock: Clock,
        pushes: PushPolicy,
        call_ttl: timedelta,
    ) -> None:
        self._calls = calls
        self._committer = committer
        self._clock = clock
        self._pushes = pushes
        self._call_ttl = call_ttl

    async def begin(self, ring: Ring, received: Received) -> Verdict:
        """Creates the call and tells its receiver; the same again is safe.

        A call that is new costs 1 Commit, and if it is to be told 1 RunQuery, 1 POST for each
        connection and 1 Publish more. One that is there costs 1 BatchGetDocuments more; a repeat
        then 1 BatchGetDocuments, and 1 Publish if the ring's event is still pending.

        Raises StoreUnavailable and PublishFailed: then the call and its outbox entry are both
        written, or neither.
        """
        stored: StoredCall | UnreadableCall | None = None  # as a rule it is not there
        for _ in range(_COMMITS):
            found = stored.call if isinstance(stored, StoredCall) else stored
            decision = decide_ring(found, ring)
            if not decision.is_to_begin or isinstance(found, UnreadableCall):
                if isinstance(found, Call) and decision.is_repeat:
                    await self._committer.publish_again(found)
                return decision.verdict
            call = ring.begun(received.signal_id, self._clock(), found)
            known = stored if isinstance(stored, StoredCall) else None
            attempted = await self._attempt(call, known, ring, received)
            match attempted:
                case NotCommitted():
                    stored = attempted.stored
                    continue
                case Committed():
                    await self._committer.tell(attempted, received)
            return replace(decision.verdict, rings_until=call.rings_until)
        raise StoreUnavailable(f"{_COMMITS} commits failed in a row")

    async def _attempt(
        self, call: Call, known: StoredCall | None, ring: Ring, received: Received
    ) -> Committed | NotCommitted | None:
        """None for a call that is written, and told to nobody."""
        expires = self._clock() + self._call_ttl
        if not ring.is_told:
            try:
                await self._calls.create(call, None, expires)
            except StoreConflict:
                return NotCommitted(await self._calls.get(call.id))
            return None
        event = CallEvent.of_ring(call, received.signal_id, self._clock(), self._pushes)
        write = (
            partial(self._calls.commit, known, event)
            if known
            else partial(self._calls.create, call, event, expires)
        )
        return await self._committer.commit(event, write, received)
