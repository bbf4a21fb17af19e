"""How many frames a second a connection may send, as this instance counts them."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from functions.calls.call import ConnectionId
from functions.recent import Recent

_BURST_SECONDS = 2  # of frames that may come at once
_REMEMBERED = 10_000  # connections; of more, those that sent nothing for longest are forgotten


class Rate(Enum):
    """What a frame makes of its connection's rate."""

    KEPT = auto()
    EXCEEDED = auto()  # by this frame: the connection is to be closed
    STILL_EXCEEDED = auto()  # it is being closed


@dataclass(slots=True)
class _Bucket:
    left: float  # frames that may come at once
    at: datetime
    is_closing: bool = False


class FrameRate:
    """A token bucket for each connection. API Gateway spreads the frames of one over all instances,
    so with several of them more get through: as many times more as there are."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._most = float(per_second * _BURST_SECONDS)
        self._buckets: Recent[ConnectionId, _Bucket] = Recent(_REMEMBERED)

    def of(self, id: ConnectionId, now: datetime) -> Rate:
        """Counts a frame that came at `now`."""
        bucket = self._buckets.latest(id, _Bucket(self._most, now))
        # The clock may go back.
        refilled = max(0.0, (now - bucket.at).total_seconds()) * self._per_second
        bucket.left, bucket.at = min(self._most, bucket.left + refilled), now
        if bucket.is_closing:
            return Rate.STILL_EXCEEDED
        if bucket.left < 1:
            bucket.is_closing = True
            return Rate.EXCEEDED
        bucket.left -= 1
        return Rate.KEPT

    def not_closed(self, id: ConnectionId) -> None:
        """The connection could not be closed: its next frame that is too many is to close it."""
        if bucket := self._buckets.get(id):
            bucket.is_closing = False
