"""The end of a session: a goodbye on a socket that may stay open, or the socket's own end."""

from datetime import datetime

from functions.calls.call import ConnectionId
from functions.clients.connection import Connection, Wire
from functions.ports.clock import Clock
from functions.ports.store import Connections, StoreUnavailable
from functions.sessions.order import is_over, reply_to_outdated
from functions.wire import socketio

TRIES = 4  # a connection changes a few times as it begins, and at its end


class Closing:
    """Ends sessions."""

    def __init__(self, connections: Connections, clock: Clock) -> None:
        self._connections = connections
        self._clock = clock

    async def leave(self, id: ConnectionId, requested: datetime | None) -> str:
        """The packet that replies to a goodbye, on a socket that may stay open: from now on nobody
        is told by it. What was sent before is still its user's.

        1 BatchGetDocuments and 1 Commit, again on a conflict. Raises StoreUnavailable.
        """
        for _ in range(TRIES):
            now = self._clock()
            connection = await self._connections.get(id, now)
            # Text that looks like a packet is none on the JSON wire.
            if connection is None or connection.wire is Wire.JSON:
                return socketio.NOOP
            if await self.is_left(connection, requested, now):
                return reply_to_outdated(requested, connection.admitted_at)
        raise StoreUnavailable("the connection keeps changing")

    async def is_left(
        self, connection: Connection, requested: datetime | None, now: datetime
    ) -> bool:
        """1 Commit, if there is a session to end. False when the connection changed meanwhile."""
        return is_over(connection, requested) or await self._connections.leave(
            connection, requested, now
        )

    async def close(self, id: ConnectionId) -> None:
        """1 Commit. Raises StoreUnavailable."""
        await self._connections.close(id, self._clock())
