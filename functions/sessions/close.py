"""The end of a session: a goodbye on a socket that may stay open, or the socket's own end."""

from dataclasses import replace
from datetime import datetime

from functions.calls.call import ConnectionId
from functions.clients.connection import Connection, Wire
from functions.ports.clock import Clock
from functions.ports.sockets import Gone, PostFailed, Sockets
from functions.ports.store import Connections, StoreUnavailable
from functions.sessions.order import TRIES, goodbye_is_outdated, reply_in_order
from functions.telemetry import Log
from functions.wire import socketio
from functions.wire.frames import Goodbye

log = Log(__name__)


class Closing:
    """Ends sessions."""

    def __init__(self, connections: Connections, sockets: Sockets, clock: Clock) -> None:
        self._connections = connections
        self._sockets = sockets
        self._clock = clock

    async def leave(self, id: ConnectionId, goodbye: Goodbye, received_at: datetime | None) -> str:
        """Ends the session of a client that says goodbye, and gives the packet in reply.

        Nobody is told by the connection any more, though its socket may stay open; frames that
        were sent before are still its owner's. Who leaves one namespace of several stays in the
        others, and is told there. Costs 1 BatchGetDocuments and 1 Commit, both again
        on a conflict, and 1 DELETE if the socket is to be closed. Raises NotUpgraded and
        StoreUnavailable.
        """
        for _ in range(TRIES):
            now = self._clock()
            connection = await self._connections.get(id, now)
            # On the JSON wire a text that looks like a packet is no packet.
            if connection and connection.wire is Wire.JSON:
                return socketio.NOOP
            if connection is None:
                if goodbye.closes_socket:
                    await self.close_socket(id)
                return socketio.NOOP
            connection.check_upgraded()
            if goodbye.closes_socket:
                namespace, connection = connection.namespace, replace(connection, also_in={})
            else:
                namespace = goodbye.namespace
            if await self.leave_unless_outdated(connection, namespace, received_at, now):
                if goodbye.closes_socket:
                    await self.close_socket(id)
                return reply_in_order(received_at, connection.entered_at(namespace))
        raise StoreUnavailable("the connection keeps changing")

    async def leave_unless_outdated(
        self,
        connection: Connection,
        namespace: str,
        received_at: datetime | None,
        now: datetime,
        admit_by: datetime | None = None,
    ) -> bool:
        """Takes the client out of `namespace`, unless the goodbye is outdated, and ends the session
        if it is in no other. Costs 1 Commit if anything changes. Of a client that was refused,
        `admit_by` is when its socket is closed unless it is admitted. False if the connection
        changed since it was read."""
        if goodbye_is_outdated(connection, namespace, received_at):
            return True
        if connection.user is None:
            # Of a CONNECT that is handled later, the namespace tells whether the goodbye meant it.
            is_first = connection.left_at is None or admit_by is not None
            out = replace(connection, namespace=namespace) if is_first else connection
        elif left := connection.leaving(namespace):
            return left == connection or await self._connections.move(left)
        else:
            out = connection
        return await self._connections.leave(out, received_at, now, admit_by)

    async def close(self, id: ConnectionId) -> None:
        """Notes that the socket is closed. Costs 1 Commit. Raises StoreUnavailable."""
        await self._connections.close(id, self._clock())

    async def close_socket(self, id: ConnectionId) -> bool:
        """Closes the socket, whose `$disconnect` then comes as any other. Costs 1 DELETE. Whether
        it is closed now; a failure is only logged."""
        try:
            await self._sockets.close(id)
        except Gone:
            return True
        except PostFailed as error:
            log.warning("socket not closed", to=id, error=str(error))
        except Exception:  # what the client asked for beside it has been done
            log.exception("socket not closed", to=id)
        else:
            return True
        return False
