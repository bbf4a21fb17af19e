"""The decision on a signal, and the verdict its sender is told."""

from dataclasses import dataclass
from enum import Enum, auto

from functions.calls.call import Call, Status, UserId
from functions.calls.signals import Signal


class Effect(Enum):
    """What must be done for a verdict to be true."""

    NONE = auto()
    COMMIT = auto()  # write the new status and tell the other party
    REPUBLISH = auto()  # written before; tell again if it isn't known to have been told


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to a request, as its sender reads it in `ok` and `outcome`."""

    ok: bool
    outcome: str
    effect: Effect = Effect.NONE
    field: str | None = None  # what is wrong of an `invalid` request, or of its connection,
    message: str | None = None  # and what is wrong with it


NOT_FOUND = Verdict(ok=False, outcome="not_found")
FORBIDDEN = Verdict(ok=False, outcome="forbidden")
UNAVAILABLE = Verdict(ok=False, outcome="unavailable")


def invalid(field: str, message: str) -> Verdict:
    return Verdict(ok=False, outcome="invalid", field=field, message=message)


# Of the sender's connection, whatever the request.
UNKNOWN_CONNECTION = invalid("connection", "connection is not known; reconnect")
NOT_AUTHENTICATED = Verdict(
    ok=False,
    outcome="forbidden",
    field="connection",
    message="connection is not authenticated",
)


def decide(call: Call | None, signal: Signal, sender: UserId) -> Verdict:
    """Decides what `signal` of `sender` does to `call` (None: there is no such call)."""
    # One answer for both, so that nobody can find out which call ids exist.
    if call is None or sender not in (call.caller, call.receiver):
        return NOT_FOUND
    if sender != call.user(signal.rule.sender):
        return FORBIDDEN
    if call.status is Status.RINGING:
        return Verdict(ok=True, outcome=signal.rule.to, effect=Effect.COMMIT)
    already = f"already_{call.status}"
    if call.status is signal.rule.to:
        return Verdict(ok=True, outcome=already, effect=Effect.REPUBLISH)
    return Verdict(ok=False, outcome=already)
