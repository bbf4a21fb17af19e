"""The deadline of an admission: who is not admitted in time has his socket closed."""

import asyncio
from datetime import timedelta

from functions.clients.connection import Connection
from functions.ports.clock import Clock
from functions.ports.sockets import PostFailed, Refused, Sockets
from functions.ports.store import Connections, StoreUnavailable
from functions.sessions.dismiss import dismiss
from functions.telemetry import Log

# From the handshake, or from a refusal. Clients themselves give up after 20 s (JavaScript) or less.
ADMIT_WITHIN = timedelta(seconds=45)
_AT_ONCE = 50  # sockets

log = Log(__name__)


class AdmissionDeadline:
    """Closes the sockets of those who were refused, or who never asked to be admitted."""

    def __init__(self, connections: Connections, sockets: Sockets, clock: Clock) -> None:
        self._connections = connections
        self._sockets = sockets
        self._clock = clock

    async def enforce(self) -> int:
        """Gives how many sockets were closed. Costs 1 RunQuery and, for each socket that is due, 1
        Commit, 1 POST and 1 DELETE; 1 Commit more if the socket was closed already.

        Safe to run twice. Raises StoreUnavailable.
        """
        due = await self._connections.unadmitted(self._clock())
        closed = 0
        for first in range(0, len(due), _AT_ONCE):
            closed += sum(await asyncio.gather(*map(self._close, due[first : first + _AT_ONCE])))
        return closed

    async def _close(self, connection: Connection) -> bool:
        """Whether the socket was closed: not if its client was admitted at this moment, nor if it
        had gone. A socket that could not be closed is due again once more time has passed."""
        now = self._clock()
        try:
            if not await self._connections.turn_away(connection, now, now + ADMIT_WITHIN):
                return False
            if await dismiss(self._sockets, connection):
                return True
            await self._connections.close(connection.id, now)
        except (StoreUnavailable, PostFailed, Refused) as error:
            log.warning("socket not closed", to=connection.id, error=str(error))
        except Exception:  # one socket's trouble must not keep back the others
            log.exception("socket not closed", to=connection.id)
        return False
