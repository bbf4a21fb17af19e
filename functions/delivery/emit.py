"""What a backend had its old socket server emit: that a call was cancelled, or accepted.

A call that we know is changed, so that its event is told as always. Of a call that we don't know,
which the backend keeps for itself, the open sockets are told and nothing is stored.
"""

from dataclasses import dataclass

from functions.calls.call import Call, Party, UnreadableCall, UserId
from functions.calls.decision import NOT_FOUND, UNAVAILABLE, UNREADABLE, Verdict
from functions.calls.event import CallEvent
from functions.calls.transitions import Signal, Transition, transitions_of
from functions.delivery.commit import Received
from functions.delivery.notify import notify
from functions.delivery.signaling import Signaling
from functions.ports.clock import Clock
from functions.ports.sockets import Sockets
from functions.ports.store import Store, StoredCall
from functions.wire.codecs import Codecs

_NOBODY = UserId("")  # for a party whom the backend does not name: no user has this id

TOLD = Verdict(ok=True, outcome="told")
NOT_CONNECTED = Verdict(ok=False, outcome="not_connected")


@dataclass(frozen=True, slots=True)
class Emit:
    """`signal` is to be carried out for the party that sends it, and the other, `told`, to hear."""

    signal: Signal
    told: UserId
    sender: UserId | None  # None if the backend does not name him

    @property
    def transition(self) -> Transition:
        """The first that the signal has: of a call that rings."""
        return next(transitions_of(self.signal.name))

    def sender_in(self, call: Call) -> UserId:
        """The party whose signal it is."""
        return call.caller if self._is_the_callers else call.receiver

    def is_about(self, call: Call) -> bool:
        """Whether those whom the backend names are the parties of the call, each on his side."""
        told = call.receiver if self._is_the_callers else call.caller
        return self.told == told and self.sender in (None, self.sender_in(call))

    def unknown_call(self) -> Call:
        """The call as far as the backend has described it."""
        sender = self.sender or _NOBODY
        caller, receiver = (sender, self.told) if self._is_the_callers else (self.told, sender)
        return Call(self.signal.call_id, caller, receiver, self.transition.from_status)

    @property
    def _is_the_callers(self) -> bool:
        return Party.CALLER in self.transition.senders


class Emitter:
    """Carries out what a backend asks to be emitted."""

    def __init__(
        self,
        store: Store,
        sockets: Sockets,
        codecs: Codecs,
        signaling: Signaling,
        clock: Clock,
    ) -> None:
        self._store = store
        self._sockets = sockets
        self._codecs = codecs
        self._signaling = signaling
        self._clock = clock

    async def emit(self, asked: Emit, received: Received) -> Verdict:
        """The verdict on the signal; of a call that we don't know, `TOLD`, `NOT_CONNECTED` or, if a
        socket that may be open was not reached, `UNAVAILABLE`.

        Costs 1 BatchGetDocuments, and of a call that we know what its signal costs beside that one.
        Of another, and of one whose document the backend has changed by itself, it costs 1 RunQuery
        and 1 POST for each connection. A repeat costs 1 BatchGetDocuments more. Raises
        StoreUnavailable and PublishFailed; repeating it is safe.
        """
        match stored := await self._store.calls.get(asked.signal.call_id):
            case None:
                return await self._tell(asked, asked.unknown_call(), received)
            case UnreadableCall():
                return UNREADABLE
            case StoredCall(call) if not asked.is_about(call):
                return NOT_FOUND  # a wrong id must not end anybody else's ring
            case StoredCall(call):
                if await self._is_done_by_others(asked, call):
                    return await self._tell(asked, call, received)
                sender = asked.sender_in(call)
                return await self._signaling.handle_read(asked.signal, sender, stored, received)

    async def _is_done_by_others(self, asked: Emit, call: Call) -> bool:
        """Whether the call's document says already what is to be done, and not by a signal: then
        nobody has been told. Costs 1 BatchGetDocuments if it says so."""
        if call.status is not asked.transition.to_status:
            return False
        if call.signal_id is None:
            return True
        # The last that we know to have happened to the call may be something else, as its ring is.
        entry = await self._store.outbox.entry(call.id, call.signal_id)
        return entry is not None and entry.event.status is not call.status

    async def _tell(self, asked: Emit, call: Call, received: Received) -> Verdict:
        event = CallEvent.of(
            call,
            asked.transition,
            asked.signal,
            asked.sender_in(call),
            received.signal_id,
            self._clock(),
        )
        connections = await self._store.connections.of([asked.told], event.decided_at)
        # Nobody comes after this, as `deliver` does, so a post has all the time that posts have.
        report = await notify(self._sockets, self._codecs, connections, event)
        if report.served:
            return TOLD
        return UNAVAILABLE if report.failed else NOT_CONNECTED
