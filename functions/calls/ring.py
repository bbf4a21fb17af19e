"""The ring that an app's backend asks for, and what of it there is left to do."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from json import loads

from functions.calls.call import Call, CallId, SignalId, Status, UnreadableCall, UserId
from functions.calls.decision import UNREADABLE, Verdict


@dataclass(frozen=True, slots=True)
class Ring:
    """A call as its backend wants it."""

    call_id: CallId
    caller: UserId
    receiver: UserId
    seconds: int
    data: str | None  # what the app passes on, an object in JSON
    is_told: bool  # to the receiver; without it, the call is only known, and can be cancelled

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
        ends = now + timedelta(seconds=self.seconds)
        ends -= timedelta(microseconds=ends.microsecond % 1000)  # as clients are told it
        signal_id = signal if self.is_told else None
        return replace(call, signal_id=signal_id, rings_until=ends, data=self.data)


@dataclass(frozen=True, slots=True)
class RingDecision:
    """The verdict on a ring, and what must be done to make it true."""

    verdict: Verdict
    is_to_begin: bool = False
    is_repeat: bool = False  # it was told before; its event may still be pending


def decide_ring(found: Call | UnreadableCall | None, ring: Ring) -> RingDecision:
    """Decides what a ring makes of the call that is found under its id, if any is."""
    if isinstance(found, UnreadableCall):
        return RingDecision(UNREADABLE)
    if found is None:
        return RingDecision(Verdict(ok=True, outcome=Status.RINGING), is_to_begin=True)
    if differing := _differing(found, ring):
        message = f"the call is known with another {differing}"
        return RingDecision(Verdict(False, "differs", differing, message))
    if found.status is not Status.RINGING:
        return RingDecision(Verdict(False, f"already_{found.status}"))
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
    if not found.is_ours or found.status is not Status.RINGING:
        return None
    if found.ring_seconds != ring.seconds:
        return "ringSeconds"
    return None if _same(found.data, ring.data) else "data"


def _same(one: str | None, other: str | None) -> bool:
    """Whether two objects in JSON are the same: the order of their fields is nobody's intention."""
    return one == other or (one and loads(one)) == (other and loads(other))
