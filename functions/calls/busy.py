"""Whether somebody is in another call, so that he is not rung."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from functions.calls.call import Call, Status, UserId
from functions.calls.event import LONGEST_LIFE


class Busy(StrEnum):
    """From which state of another call on its parties are busy."""

    OFF = "off"
    RINGING = "ringing"
    IN_CALL = "in-call"

    @property
    def statuses(self) -> tuple[Status, ...]:
        """Those of another call that make its parties busy."""
        match self:
            case Busy.OFF:
                return ()
            case Busy.IN_CALL:
                return (Status.ACCEPTED,)
            case Busy.RINGING:
                return (Status.RINGING, Status.ACCEPTED)


@dataclass(frozen=True, slots=True)
class Occupancy:
    """A call of his, and when its document was written last."""

    call: Call
    since: datetime


def is_busy(
    others: Iterable[Occupancy], parties: set[UserId], now: datetime, longest: timedelta
) -> bool:
    """Whether one of a user's calls keeps him from another one between `parties`: he may be called
    by whom he is in a call with, and a call that has gone on for `longest` was left without a word.
    """
    return any(
        {other.call.caller, other.call.receiver} != parties and _goes_on(other, now, longest)
        for other in others
    )


def _goes_on(other: Occupancy, now: datetime, longest: timedelta) -> bool:
    if other.call.status is Status.RINGING:
        return now < (other.call.rings_until or other.since + LONGEST_LIFE)
    return now < (other.call.answered_at or other.since) + longest
