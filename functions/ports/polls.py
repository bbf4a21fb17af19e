"""The port to what waits for the clients that poll."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from functions.calls.call import ConnectionId
from functions.clients.connection import Connection
from functions.clients.poll import Poll


@dataclass(frozen=True, slots=True)
class Session:
    """A session of a client that polls: its connection, and what waits for the client."""

    connection: Connection
    poll: Poll


class Polls(Protocol):
    """Every method raises StoreUnavailable."""

    async def begin(self, session: Session) -> None:
        """Stores a new session."""

    async def get(self, id: ConnectionId) -> Poll | None:
        """None also if the session has been moved to a WebSocket."""

    async def session(self, id: ConnectionId, now: datetime) -> Session | None:
        """The whole session; None if any part of it is not there."""

    async def add(self, id: ConnectionId, packets: Sequence[str]) -> bool:
        """Has these packets wait too, the last. False if nothing can wait for the client any
        more."""

    async def take(
        self, poll: Poll, count: int, taker: str, renewed_until: datetime | None
    ) -> bool:
        """Removes the first `count` packets, and makes the session last, unless that is None. False
        if it has changed since it was read; perhaps by this very `taker`, which it then names."""

    async def claim(self, poll: Poll, by: Connection) -> bool:
        """Stores the new connection `by`, which bears the session's id. False if `poll` has changed
        since it was read; perhaps by this very claim, which it then names."""

    async def move(self, session: Session, to: Connection, now: datetime) -> bool:
        """Makes the connection `to` what the session was, and ends that. False if any of them has
        changed since it was read; perhaps by this very move, whose `upgrade_id` it then names."""

    async def close(self, id: ConnectionId, now: datetime, packet: str) -> bool:
        """Ends the session: its client is told by `packet`, once it polls. False if nothing can
        wait for the client any more."""
