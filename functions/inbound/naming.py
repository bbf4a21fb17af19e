"""What of a request may be logged: of what a client wrote, no words but the id of a known call."""

from hashlib import sha256

from functions.calls.call import CallId
from functions.calls.decision import Verdict
from functions.calls.ring import INITIATE, Initiate
from functions.calls.transitions import Signal
from functions.wire.frames import RegisterDevice, Relay, Request, UnregisterDevice

# Of a call that may not be there.
_ANY_ID = ("not_found", "unavailable", "busy", "limited")


def names_known_call(verdict: Verdict) -> bool:
    """Whether the verdict proves that the call is the app's, and its id no words of a stranger."""
    return verdict.field is None and verdict.outcome not in _ANY_ID


def named(request: Request, *, is_known: bool) -> dict[str, object]:
    """The parts of a request that may be logged. Of an id that may be anything, it is a hash."""
    match request:
        case Signal(name, call_id):
            return {"request": name, **_of_call(call_id, is_known=is_known)}
        case Initiate(call_id):
            return {"request": INITIATE, **_of_call(call_id or CallId(""), is_known=is_known)}
        case Relay(call_id, event):
            return {"request": "relay", "heard": event, **_of_call(call_id, is_known=is_known)}
        case RegisterDevice():
            return {"request": "device:register"}
        case UnregisterDevice():
            return {"request": "device:unregister"}


def _of_call(id: CallId, *, is_known: bool) -> dict[str, object]:
    return {"callId": id} if is_known else {"callHash": sha256(id.encode()).hexdigest()[:16]}
