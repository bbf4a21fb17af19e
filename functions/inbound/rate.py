"""How many frames a second a connection may send, how many requests over HTTPS and how many calls a
user may make, as this instance counts them."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from hashlib import blake2b
from secrets import token_bytes
from typing import Generic, TypeVar

from functions.calls.call import ConnectionId, UserId
from functions.ports.clock import Clock
from functions.recent import Recent

_BURST_SECONDS = 2  # of frames that may come at once
_REMEMBERED = 10_000  # connections; of more, those that sent nothing for longest are forgotten

_SALT = token_bytes(32)  # of this instance, and known to nobody

_Key = TypeVar("_Key")


class Rate(Enum):
    """What a frame makes of its connection's rate."""

    KEPT = auto()
    EXCEEDED = auto()  # by this frame: the connection is to be closed
    STILL_EXCEEDED = auto()  # it is being closed


class RateExceeded(Exception):
    """The user has made too many requests. Nothing was begun."""

    def __init__(self, user: UserId) -> None:
        super().__init__("too many requests")
        # May be logged: it tells one user from another while this instance lives. Without the salt,
        # whoever reads the log would find the user by trying all ids, where they are numbers.
        self.user_hash = blake2b(user.encode(), key=_SALT, digest_size=8).hexdigest()


@dataclass(slots=True)
class _Bucket:
    left: float  # frames, requests or calls that may come at once
    at: datetime
    is_closing: bool = False


class _Buckets(Generic[_Key]):
    """A token bucket for each key. What comes of one is spread over all instances, so with several
    of them more gets through: as many times more as there are."""

    def __init__(self, per_second: float, at_once: int) -> None:
        self._per_second = per_second
        self._most = float(at_once)
        self._buckets: Recent[_Key, _Bucket] = Recent(_REMEMBERED)

    def filled(self, key: _Key, now: datetime) -> _Bucket:
        """The bucket of `key` as it is at `now`."""
        bucket = self._buckets.latest(key, _Bucket(self._most, now))
        # The clock may go back.
        refilled = max(0.0, (now - bucket.at).total_seconds()) * self._per_second
        bucket.left, bucket.at = min(self._most, bucket.left + refilled), now
        return bucket

    def get(self, key: _Key) -> _Bucket | None:
        return self._buckets.get(key)


class FrameRate:
    """Counts the frames of each connection."""

    def __init__(self, per_second: int) -> None:
        self._buckets: _Buckets[ConnectionId] = _Buckets(per_second, per_second * _BURST_SECONDS)

    def of(self, id: ConnectionId, now: datetime) -> Rate:
        """Counts a frame that came at `now`."""
        bucket = self._buckets.filled(id, now)
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


class RequestRate:
    """Counts the requests of each user."""

    def __init__(self, per_second: int, clock: Clock) -> None:
        self._buckets: _Buckets[UserId] = _Buckets(per_second, per_second * _BURST_SECONDS)
        self._clock = clock

    def count(self, user: UserId) -> None:
        """Counts a request that came now. Raises RateExceeded; what is refused does not count."""
        bucket = self._buckets.filled(user, self._clock())
        if bucket.left < 1:
            raise RateExceeded(user)
        bucket.left -= 1


class CallRate:
    """Counts the calls of each caller: as many at once as in a minute."""

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._buckets: _Buckets[UserId] = _Buckets(per_minute / 60, per_minute)
        self._clock = clock

    def allows(self, caller: UserId) -> bool:
        """Counts a call that begins now, unless it is one too many."""
        bucket = self._buckets.filled(caller, self._clock())
        if bucket.left < 1:
            return False
        bucket.left -= 1
        return True
