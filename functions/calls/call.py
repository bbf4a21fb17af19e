"""A call, who takes part in it, and the ids that name things."""

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

CallId = NewType("CallId", str)
UserId = NewType("UserId", str)
ConnectionId = NewType("ConnectionId", str)
SignalId = NewType("SignalId", str)  # one per frame received: tells our commit from another's


def names_document(id: str) -> bool:
    """Whether `id` can name a Firestore document, as the id of a call does."""
    reserved = id in {".", ".."} or (id.startswith("__") and id.endswith("__"))
    return 0 < len(id.encode()) <= 1500 and "/" not in id and not reserved


class Status(StrEnum):
    """Where a call stands. It rings once; `transitions.py` says what leads from where to where."""

    RINGING = "ringing"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    MISSED = "missed"
    ENDED = "ended"


class Party(StrEnum):
    CALLER = "caller"
    RECEIVER = "receiver"


@dataclass(frozen=True, slots=True)
class Call:
    """A call as its document has it."""

    id: CallId
    caller: UserId
    receiver: UserId
    status: Status
    signal_id: SignalId | None = None  # of the frame that gave it its status, if a frame did
    rings_until: datetime | None = None  # when it would have ended by itself, where that is known

    def parties(self, user: UserId) -> Set[Party]:
        """What `user` is in this call: nothing, one of the parties, or both who calls himself."""
        parties = {Party.CALLER: self.caller, Party.RECEIVER: self.receiver}
        return {party for party, who in parties.items() if who == user}
