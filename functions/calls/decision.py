"""The decision on a signal, and the verdict that its sender is told."""

from dataclasses import dataclass
from dataclasses import field as declared
from datetime import datetime

from functions.calls.call import Call, Cause, SignalId, Status, UnreadableCall, UserId
from functions.calls.transitions import TIMED_OUT, Signal, Transition, transitions_of


@dataclass(frozen=True, slots=True)
class Verdict:
    """The reply to a request, as its sender reads it in `ok` and `outcome`."""

    ok: bool
    outcome: str
    field: str | None = None  # the part of the request that is wrong, or `connection`
    message: str | None = None  # what is wrong with `field`
    rings_until: datetime | None = None  # of a call that rings because of the request
    # Of the change that was made, or of the call's end that was found: for the log alone.
    cause: Cause | None = declared(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict on a signal, and what must be done to make the verdict true."""

    verdict: Verdict
    transition: Transition | None = None  # to be committed, and to be told to its recipients
    is_repeat: bool = False  # the transition was committed before; its event may still be pending


NOT_FOUND = Verdict(ok=False, outcome="not_found")
FORBIDDEN = Verdict(ok=False, outcome="forbidden")
UNREADABLE = Verdict(ok=False, outcome="unreadable")
UNAVAILABLE = Verdict(ok=False, outcome="unavailable")
LIMITED = Verdict(ok=False, outcome="limited")


def invalid(field: str, message: str) -> Verdict:
    """The verdict on a malformed request: `field` is wrong, and `message` says how."""
    return Verdict(ok=False, outcome="invalid", field=field, message=message)


# These two judge the sender's connection, whatever the request.
UNKNOWN_CONNECTION = invalid("connection", "connection is not known; reconnect")
NOT_AUTHENTICATED = Verdict(
    ok=False,
    outcome="forbidden",
    field="connection",
    message="connection is not authenticated",
)


def decide(call: Call | UnreadableCall | None, signal: Signal, sender: UserId) -> Decision:
    """Decides what `signal` of `sender` does to `call`, which is None if there is no such call."""
    if isinstance(call, UnreadableCall):
        return Decision(UNREADABLE if sender in call.users else NOT_FOUND)
    # One answer for both, so that nobody can find out which call ids exist.
    if call is None or not (parties := call.parties(sender)):
        return Decision(NOT_FOUND)
    rows = [row for row in transitions_of(signal.name) if row.senders & parties]
    if not rows:
        return Decision(FORBIDDEN)
    for row in rows:
        if row.from_status is call.status:
            return Decision(_done(row), transition=row)
    is_repeat = any(row.to_status is call.status for row in rows) and not _is_elsewhere(
        call, signal
    )
    return Decision(already(call, ok=is_repeat), is_repeat=is_repeat)


def already(call: Call, *, ok: bool) -> Verdict:
    """The verdict on a request that finds the call in another status than it is to change."""
    return Verdict(ok, f"already_{call.status}", cause=call.cause)


def decide_timeout(call: Call | UnreadableCall | None, ring: SignalId | None) -> Decision:
    """Decides on the end of the ring that the signal `ring` began, or that of a call of which
    nobody was told (None), once its time is over. A call that rings again meanwhile rings on."""
    if isinstance(call, UnreadableCall):
        return Decision(UNREADABLE)
    if call is None:
        return Decision(NOT_FOUND)
    if call.status is TIMED_OUT.from_status and call.signal_id == ring:
        return Decision(_done(TIMED_OUT), transition=TIMED_OUT)
    is_repeat = call.status is TIMED_OUT.to_status
    return Decision(already(call, ok=is_repeat), is_repeat=is_repeat)


def _done(row: Transition) -> Verdict:
    return Verdict(ok=True, outcome=row.to_status, cause=row.cause)


def _is_elsewhere(call: Call, signal: Signal) -> bool:
    """Whether the call was answered on another device than the one that the signal comes from."""
    by = signal.by
    is_same = call.answered_on.is_on(by.device, by.registration)
    return call.status is Status.ACCEPTED and is_same is False
