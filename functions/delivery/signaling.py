"""The one path of a signal: load, decide, commit, notify, publish."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from functions.calls.call import Call, CallId, ConnectionId, SignalId, UnreadableCall, UserId
from functions.calls.decision import NOT_FOUND, Decision, Verdict, decide, decide_timeout
from functions.calls.event import CallEvent
from functions.calls.transitions import (
    CANCELS,
    NO_PUSHES,
    TIMED_OUT,
    PushPolicy,
    Signal,
)
from functions.clients.sender import sender_of
from functions.delivery.commit import COMMITS, Committed, Committer, NotCommitted, Received
from functions.ports.clock import Clock
from functions.ports.store import Calls, StoredCall, StoreUnavailable
from functions.telemetry import Log

# A time-out that comes so much later than the ring's end is not pushed: it might silence the next
# call, where an app does not compare ids.
_PUSHED_WITHIN = timedelta(seconds=20)

log = Log(__name__)

_Decide = Callable[[Call | UnreadableCall | None], Decision]


class Signaling:
    """Carries out signals."""

    def __init__(
        self, calls: Calls, committer: Committer, clock: Clock, pushes: PushPolicy
    ) -> None:
        self._calls = calls
        self._committer = committer
        self._clock = clock
        self._pushes = pushes

    async def handle(self, signal: Signal, connection: ConnectionId, received: Received) -> Verdict:
        """Carries out a `signal` that came by a frame, and gives the verdict on it.

        Costs 1 BatchGetDocuments. If the call changes, it costs 1 Commit and 1 RunQuery, 1 POST for
        each connection and 1 Publish more. A commit that fails or is not answered costs 1
        BatchGetDocuments more, and then 1 RunQuery if it was done, or what another try costs. A
        repeat costs 1 BatchGetDocuments more, and 1 Publish if the call's event is still pending. A
        cancel of what is no call of the sender's costs 1 Commit more.

        Raises StoreUnavailable and PublishFailed: then the call and its outbox entry are both
        written, or neither. Repeating the signal is safe.
        """
        loaded = await self._calls.load(signal.call_id, connection, received.began_at)
        # The sender is judged once: he has sent the frame, whatever becomes of its connection.
        sender = sender_of(loaded.connection, received.received_at, signal)
        if isinstance(sender, Verdict):
            return sender
        if loaded.connection:
            signal = replace(signal, by=loaded.connection.acting(signal.by))
        return await self.handle_read(signal, sender, loaded.call, received)

    async def handle_of(self, signal: Signal, sender: UserId, received: Received) -> Verdict:
        """Carries out a `signal` of `sender`, who is known, at the same costs as by a frame. Raises
        the same."""
        stored = await self._calls.get(signal.call_id)
        return await self.handle_read(signal, sender, stored, received)

    async def handle_read(
        self,
        signal: Signal,
        sender: UserId,
        stored: StoredCall | UnreadableCall | None,
        received: Received,
    ) -> Verdict:
        """Carries out a `signal` of `sender` on the call as it has just been read, at the same
        costs but for that. Raises the same."""
        decided = partial(decide, signal=signal, sender=sender)
        return await self._change(signal, sender, decided, stored, received, self._pushes)

    async def time_out(
        self, call: CallId, ring: SignalId | None, rings_until: datetime, received: Received
    ) -> Verdict:
        """Ends the ring that the signal `ring` began, whose time was over at `rings_until`, at the
        same costs as by a frame. Raises the same."""
        is_late = self._clock() - rings_until > _PUSHED_WITHIN
        pushes = NO_PUSHES if is_late else self._pushes
        signal = Signal(TIMED_OUT.signal, call, reason=None)
        decided = partial(decide_timeout, ring=ring)
        stored = await self._calls.get(call)
        verdict = await self._change(signal, None, decided, stored, received, pushes)
        if is_late and verdict.outcome == TIMED_OUT.to_status:
            said = {"outcome": verdict.outcome, "cause": verdict.cause}
            log.warning("late time-out", callId=call, **said)
        return verdict

    async def _change(
        self,
        signal: Signal,
        sender: UserId | None,
        decided: _Decide,
        stored: StoredCall | UnreadableCall | None,
        received: Received,
        pushes: PushPolicy,
    ) -> Verdict:
        is_forestalled = False
        for _ in range(COMMITS):
            call = stored.call if isinstance(stored, StoredCall) else stored
            decision = decided(call)
            if decision.verdict == NOT_FOUND and sender and signal.name in CANCELS:
                if is_forestalled or await self._forestall(signal, sender):
                    return NOT_FOUND
                is_forestalled = True
                stored = await self._calls.get(signal.call_id)
                continue
            if not isinstance(stored, StoredCall) or decision.transition is None:
                if isinstance(call, Call) and decision.is_repeat:
                    await self._committer.publish_again(call)
                return decision.verdict
            # Each try makes the event anew, so that its times count from the commit that succeeds.
            event = CallEvent.of(
                stored.call,
                decision.transition,
                signal,
                sender,
                received.signal_id,
                self._clock(),
                pushes,
            )
            write = partial(self._calls.commit, stored, event)
            attempted = await self._committer.commit(event, write, received)
            match attempted:
                case NotCommitted():
                    stored = attempted.stored
                case Committed():
                    await self._committer.tell(attempted, received)
                    return decision.verdict
        raise StoreUnavailable(f"{COMMITS} commits failed in a row")

    async def _forestall(self, signal: Signal, caller: UserId) -> bool:
        """Has the call of a cancel that is not there be born cancelled, if it comes soon; so it is
        done, at the same cost, with one that is there and is not the sender's. False if it has come
        meanwhile. Costs 1 Commit, and what of an earlier birth has to be read."""
        return await self._calls.forestall(signal.call_id, caller, self._clock())
