"""A call, its two parties, and the types of the ids that the functions use."""

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto
from typing import NewType

CallId = NewType("CallId", str)
UserId = NewType("UserId", str)
ConnectionId = NewType("ConnectionId", str)
SignalId = NewType("SignalId", str)  # new for each frame: tells our commit from another's

USER_ID_LIMIT = 256  # characters


def names_document(id: str) -> bool:
    """Whether Firestore takes `id` as the name of a document, which a call's id must be."""
    reserved = id in {".", ".."} or (id.startswith("__") and id.endswith("__"))
    return 0 < len(id.encode()) <= 1500 and "/" not in id and not reserved


class Status(StrEnum):
    """The status of a call. `transitions.py` says which signal leads from which status to which."""

    RINGING = "ringing"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    MISSED = "missed"
    ENDED = "ended"


class Cause(StrEnum):
    """Why a call ended, or stopped ringing, in words for programs; its `reason` is for people."""

    CALLER_CANCELLED = "caller_cancelled"
    CALLER_GONE = "caller_gone"
    REJECTED = "rejected"
    TIMEOUT = "timeout"
    ENDED = "ended"
    # Only the receiver's other devices are told these; the call itself went on, or was rejected.
    ANSWERED_ELSEWHERE = "answered_elsewhere"
    REJECTED_ELSEWHERE = "rejected_elsewhere"


class Party(Enum):
    """One of the two sides of a call."""

    CALLER = auto()
    RECEIVER = auto()


@dataclass(frozen=True, slots=True)
class Actor:
    """By what a user acted: what of it is known tells his devices apart."""

    connection: ConnectionId | None = None  # None if it was over HTTPS
    device: str | None = None  # the app's own name for it
    registration: str | None = None  # the id of the device that registered on the connection

    @property
    def is_known(self) -> bool:
        """Whether it is known on which device he acted."""
        return self.device is not None or self.registration is not None

    def is_on(self, device: str | None, registration: str | None) -> bool | None:
        """Whether this is the device that he acted on; None if nobody knows. It is another one only
        if it differs in something that is known of both."""
        pairs = ((self.device, device), (self.registration, registration))
        known = [one == other for one, other in pairs if one is not None and other is not None]
        return any(known) if known else None


NOBODYS = Actor()


@dataclass(frozen=True, slots=True)
class Call:
    """A call, as its document describes it."""

    id: CallId
    caller: UserId
    receiver: UserId
    status: Status
    signal_id: SignalId | None = None  # of the last signal that changed it, if any did
    rings_until: datetime | None = None  # when its ringing ends by itself, if that is known
    cause: Cause | None = None  # of its end, if we have seen it
    answered_at: datetime | None = None
    ended_at: datetime | None = None  # if we have seen its end
    answered_on: Actor = NOBODYS  # as far as it is known
    is_ours: bool = False  # we made its document, so that it expires
    # Of a call of ours while it rings: what the app passes on, an object in JSON, and what was
    # asked for.
    data: str | None = None
    ring_seconds: int | None = None

    @property
    def is_over(self) -> bool:
        return self.status not in (Status.RINGING, Status.ACCEPTED)

    @property
    def changed_at(self) -> datetime | None:
        """When it came to its status, if that is known."""
        if self.status is Status.ACCEPTED:
            return self.answered_at
        if self.status is Status.RINGING and self.rings_until and self.ring_seconds:
            return self.rings_until - timedelta(seconds=self.ring_seconds)
        return None

    def parties(self, user: UserId) -> Set[Party]:
        """Which parties `user` is in this call: none, one, or both if he calls himself."""
        parties = {Party.CALLER: self.caller, Party.RECEIVER: self.receiver}
        return {party for party, who in parties.items() if who == user}


@dataclass(frozen=True, slots=True)
class UnreadableCall:
    """A call whose document makes no sense, which only the app's backend can mend."""

    id: CallId
    users: frozenset[object]  # whatever the document has as its caller and its receiver
