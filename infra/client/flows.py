"""The flows that the demo and the smoke test play: a signal, and what must come of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Flow:
    """A signal, who is told of it and how, and what becomes of the call."""

    signal: str
    told: str  # "caller" or "receiver"
    event: str  # over the socket, if there is one
    push: str  # by FCM, always: a socket may be dead without anybody knowing
    status: str


CANCEL = Flow("call:cancel", "receiver", "call:cancelled", "call_cancelled", "cancelled")
REJECT = Flow("call:reject", "caller", "call:rejected", "call_rejected", "rejected")


class UnexpectedError(Exception):
    """Something else came than what should have."""
