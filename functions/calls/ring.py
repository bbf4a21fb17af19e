"""The ring that a caller, or his app's backend, asks for, and what of it there is left to do."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from json import loads

from functions.calls.call import (
    NOBODYS,
    Actor,
    Call,
    CallId,
    Cause,
    SignalId,
    Status,
    UnreadableCall,
    UserId,
)
from functions.calls.decision import FORBIDDEN, UNREADABLE, Verdict, already

INITIATE = "call:initiate"


@dataclass(frozen=True, slots=True)
class Initiate:
    """A caller's request that his call ring, already checked."""

    call_id: CallId | None  # None if the app leaves it to us
    receiver: UserId
    seconds: int | None  # None if the app does not say for how long it is to ring
    data: str  # what the app passes on, an object in JSON
    caller_name: str | None = None  # as the app has it, whom nobody need believe
    by: Actor = NOBODYS


@dataclass(frozen=True, slots=True)
class Ring:
    """A call as its caller, or his backend, wants it."""

    call_id: CallId
    caller: UserId
    receiver: UserId
    seconds: int
    data: str | None  # what the app passes on, an object in JSON
    is_told: bool  # to the receiver; without it, the call is only known, and can be cancelled
    by: Actor = NOBODYS
    is_initiated: bool = False  # by the caller himself: what he passes on may differ in a repeat

    def begun(self, signal: SignalId, now: datetime, found: Call | None) -> Call:
        """The call once it rings, from `now` on."""
        call = found or Call(
            self.call_id,
            self.caller,
            self.receiver,
            Status.RINGING,
            is_ours=True,
            ring_seconds=self.seconds,
        )
        # A backend that has announced the call may have asked for less.
        seconds = min(self.seconds, call.ring_seconds or self.seconds)
        ends = now + timedelta(seconds=seconds)
        ends -= timedelta(microseconds=ends.microsecond % 1000)  # as clients are told it
        signal_id = signal if self.is_told else None
        return replace(
            call, signal_id=signal_id, rings_until=ends, ring_seconds=seconds, data=self.data
        )


TAKEN = Verdict(False, "differs", "callId", "callId is another call's")
BUSY = Verdict(False, "busy", message="the receiver is in another call")
BACKENDS_TO_BEGIN = replace(
    FORBIDDEN, field="event", message="calls are begun by the app's backend"
)
BORN_CANCELLED = Verdict(False, f"already_{Status.CANCELLED}", cause=Cause.CALLER_CANCELLED)


@dataclass(frozen=True, slots=True)
class RingDecision:
    """The verdict on a ring, and what must be done to make it true."""

    verdict: Verdict
    is_to_begin: bool = False
    is_repeat: bool = False  # it was told before; its event may still be pending


def decide_ring(found: Call | UnreadableCall | None, ring: Ring) -> RingDecision:
    """Decides what a ring makes of the call that is found under its id, if any is."""
    if isinstance(found, UnreadableCall):
        is_his = not ring.is_initiated or ring.caller in found.users
        return RingDecision(UNREADABLE if is_his else TAKEN)
    if found is None:
        return RingDecision(Verdict(ok=True, outcome=Status.RINGING), is_to_begin=True)
    if ring.is_initiated and found.caller != ring.caller:
        return RingDecision(TAKEN)  # whose it is, is nobody's business
    if differing := _differing(found, ring):
        message = f"the call is known with another {differing}"
        return RingDecision(Verdict(False, "differs", differing, message))
    if found.status is not Status.RINGING:
        return RingDecision(already(found, ok=False))
    if ring.is_told and found.signal_id is None:
        return RingDecision(Verdict(ok=True, outcome=Status.RINGING), is_to_begin=True)
    verdict = Verdict(True, f"already_{found.status}", rings_until=found.rings_until)
    return RingDecision(verdict, is_repeat=ring.is_told)


def _differing(found: Call, ring: Ring) -> str | None:
    """The field in which the call differs from the ring. What was asked for beside the parties is
    known of a call of ours while it rings."""
    if found.caller != ring.caller:
        return "callerId"
    if found.receiver != ring.receiver:
        return "receiverId"
    is_ours = found.is_ours and found.status is Status.RINGING
    if ring.is_initiated or not is_ours or not ring.is_told:  # it is known, and that is all
        return None
    if found.ring_seconds != ring.seconds:
        return "ringSeconds"
    return None if _same(found.data, ring.data) else "data"


def _same(one: str | None, other: str | None) -> bool:
    """Whether two objects in JSON are the same: the order of their fields is nobody's intention."""
    return one == other or (one and loads(one)) == (other and loads(other))
