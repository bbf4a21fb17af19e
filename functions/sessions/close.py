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
        """Ends the session of a client that says goodbye, and gives the packet in reply.

        Nobody is told by the connection any more, though its socket may stay open; frames that
        were sent before are still its owner's. Costs 1 BatchGetDocuments and 1 Commit, both again
        on a conflict. Raises StoreUnavailable.
        """
        for _ in range(TRIES):
            now = self._clock()
            connection = await self._connections.get(id, now)
            # On the JSON wire a text that looks like a packet is no packet.
            if connection is None or connection.wire is Wire.JSON:
                return socketio.NOOP
            if await self.is_left(connection, requested, now):
                return reply_to_outdated(requested, connection.admitted_at)
        raise StoreUnavailable("the connection keeps changing")

    async def is_left(
        self, connection: Connection, requested: datetime | None, now: datetime
    ) -> bool:
        """Ends the session, unless it is over. Costs 1 Commit if it does. False if the connection
        changed since it was read."""
        return is_over(connection, requested) or await self._connections.leave(
            connection, requested, now
        )

    async def close(self, id: ConnectionId) -> None:
        """Notes that the socket is closed. Costs 1 Commit. Raises StoreUnavailable."""
        await self._connections.close(id, self._clock())
