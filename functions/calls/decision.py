"""The decision on a signal, and the verdict its sender is told."""

from dataclasses import dataclass

from functions.calls.call import Call, UserId
from functions.calls.transitions import Signal, Transition, transitions_of


@dataclass(frozen=True, slots=True)
class Verdict:
    """The reply to a request, as its sender reads it in `ok` and `outcome`."""

    ok: bool
    outcome: str
    field: str | None = None  # what is wrong of an `invalid` request, or of its connection,
    message: str | None = None  # and what is wrong with it


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict on a signal, and what must be done for it to be true."""

    verdict: Verdict
    transition: Transition | None = None  # to be committed, and its recipients told
    is_repeat: bool = False  # it was committed before: told again, unless it is known to be told


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


def decide(call: Call | None, signal: Signal, sender: UserId) -> Decision:
    """Decides what `signal` of `sender` does to `call` (None: there is no such call)."""
    # One answer for both, so that nobody can find out which call ids exist.
    if call is None or not (parties := call.parties(sender)):
        return Decision(NOT_FOUND)
    rows = [row for row in transitions_of(signal.name) if row.senders & parties]
    if not rows:
        return Decision(FORBIDDEN)
    for row in rows:
        if row.from_status is call.status:
            return Decision(Verdict(ok=True, outcome=row.to_status), transition=row)
    is_repeat = any(row.to_status is call.status for row in rows)
    return Decision(Verdict(is_repeat, f"already_{call.status}"), is_repeat=is_repeat)
