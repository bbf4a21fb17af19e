"""How many connections a user may have: of more, those that connected first are closed."""

import asyncio

from functions.calls.call import ConnectionId, UserId
from functions.clients.caps import displaced
from functions.clients.connection import Connection
from functions.ports.clock import Clock
from functions.ports.sockets import PostFailed, Refused, Sockets
from functions.ports.store import Connections, StoreUnavailable
from functions.sessions.dismiss import dismiss
from functions.telemetry import Log

log = Log(__name__)


class ConnectionCap:
    """Looks after each admission whether its user has too many connections."""

    def __init__(
        self, connections: Connections, sockets: Sockets, clock: Clock, per_user: int
    ) -> None:
        self._connections = connections
        self._sockets = sockets
        self._clock = clock
        self._per_user = per_user

    async def enforce(self, user: UserId, newcomer: ConnectionId) -> None:
        """Costs 1 RunQuery and, for each connection that `newcomer` displaces (two at most), 1
        DELETE and 1 Commit, and for a Socket.IO client 1 POST. A failure is only logged: nobody is
        told less because of it. Those of ring tokens count for themselves: they are good for less,
        and must send no other away."""
        try:
            connections = await self._connections.of([user], self._clock())
        except StoreUnavailable as error:
            log.warning("too many connections stay", error=str(error))
            return
        by_ring_token = {each.id for each in connections if each.only_call}
        alike = [
            each
            for each in connections
            if (each.id in by_ring_token) == (newcomer in by_ring_token)
        ]
        gone = displaced(alike, self._per_user, lambda each: each.connected_at, newcomer)
        await asyncio.gather(*map(self._close, gone))

    async def _close(self, connection: Connection) -> None:
        try:
            if await dismiss(self._sockets, connection):
                log.info("connection too many", to=connection.id)
            await self._connections.close(connection.id, self._clock())
        except (StoreUnavailable, PostFailed, Refused) as error:
            log.warning("too many connections stay", to=connection.id, error=str(error))
        except Exception:  # one socket's trouble must not keep back the others
            log.exception("too many connections stay", to=connection.id)
