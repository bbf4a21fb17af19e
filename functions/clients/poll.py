"""What waits for a Socket.IO client that polls, as its document describes it."""

import re
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from functions.calls.call import ConnectionId
from functions.clients.connection import Wire

# For so long a session goes on after its last poll. A client polls again at once; a browser that
# is in the background, or a phone that changes networks, may take its time.
SESSION_LASTS = timedelta(seconds=60)
_RENEWED_EVERY = timedelta(seconds=20)
_PREFIX = "poll-"  # no id of API Gateway's begins so
_SID = re.compile(r"(?P<id>poll-[A-Za-z0-9_-]{22})\.(?P<key>[A-Za-z0-9_-]{32})")


@dataclass(frozen=True, slots=True)
class Sid:
    """What a client shows of its session in each request: which it is, and a key that nobody else
    has. The key is neither stored nor logged."""

    id: ConnectionId
    key: str

    @classmethod
    def new(cls) -> "Sid":
        return cls(ConnectionId(_PREFIX + secrets.token_urlsafe(16)), secrets.token_urlsafe(24))

    @classmethod
    def read(cls, text: str) -> "Sid | None":
        """None if it is no sid of ours."""
        read = _SID.fullmatch(text)
        return cls(ConnectionId(read["id"]), read["key"]) if read else None

    @property
    def proof(self) -> str:
        """What is stored of the key."""
        return sha256(self.key.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.id}.{self.key}"


@dataclass(frozen=True, slots=True)
class Poll:
    """What waits for a client, oldest first. It ends at `ends_at` at the latest, and before if the
    client does not poll."""

    id: ConnectionId
    wire: Wire
    packets: Sequence[str]
    expires_at: datetime
    ends_at: datetime
    proof: str  # a hash of the sid's key
    shown: str | None = None  # a hash of the tokens in the client's query, if it has any
    asked: str | None = None  # by what its client has told its first request apart, if it has
    upgraded_by: ConnectionId | None = None  # the WebSocket that bears the session's id
    is_closed: bool = False
    # Which poll took what had waited, the last time that anything had, and what it was given.
    taken_by: str | None = None
    given: Sequence[str] = ()
    version: datetime | None = None  # of the document that was read

    def is_over(self, now: datetime) -> bool:
        """Whether there is nothing left to poll for."""
        return now >= self.expires_at or (self.is_closed and not self.packets)

    def renewed_until(self, now: datetime) -> datetime | None:
        """Until when a poll at `now` makes the session last; None if it need not be noted yet."""
        if self.is_closed:
            return None
        until = min(now + SESSION_LASTS, self.ends_at)
        return until if until - self.expires_at > _RENEWED_EVERY else None


def new_taker() -> str:
    """By which a poll knows its own write again, should the reply to that be lost."""
    return uuid.uuid4().hex


def polls(id: ConnectionId) -> bool:
    """Whether the client whose connection this is polls, or did before it upgraded."""
    return id.startswith(_PREFIX)
