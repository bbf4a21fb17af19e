"""Signs a user out everywhere: his sockets are closed, and no client comes back by itself."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from functions.calls.call import UserId
from functions.clients.connection import Connection
from functions.ports.clock import Clock
from functions.ports.sockets import PostFailed, Refused, Sockets
from functions.ports.store import Connections, StoreUnavailable
from functions.sessions.dismiss import dismiss
from functions.telemetry import Log

_AT_ONCE = 50  # sockets
_TRIED_FOR = timedelta(seconds=20)  # who asks can't wait much longer

log = Log(__name__)


@dataclass(frozen=True, slots=True)
class SignedOut:
    """What became of a user's sockets."""

    closed: int
    unreached: int  # they may be open: to be tried again


class _End(Enum):
    """What became of one socket."""

    CLOSED = auto()
    GONE = auto()  # it was closed before
    UNREACHED = auto()


class SignOut:
    """Signs users out."""

    def __init__(self, connections: Connections, sockets: Sockets, clock: Clock) -> None:
        self._connections = connections
        self._sockets = sockets
        self._clock = clock

    async def everywhere(self, user: UserId) -> SignedOut:
        """Closes the sockets by which the user is told, those whose session he has left, and those
        whose handshake has shown his token: his client could still ask to be admitted by these.

        Costs 1 RunQuery for each 300 connections and, for each socket, 1 DELETE and 1 Commit, and 1
        POST before for a Socket.IO client. Safe to run twice: it goes on with what was not reached.
        Raises StoreUnavailable.
        """
        until = self._clock() + _TRIED_FOR
        ends: Counter[_End] = Counter()
        async for page in self._connections.naming(user):
            found = [each for each in page if self._may_be_open(each)]
            for first in range(0, len(found), _AT_ONCE):
                some = found[first : first + _AT_ONCE]
                if self._clock() > until:
                    ends[_End.UNREACHED] += len(some)
                else:
                    ends.update(await asyncio.gather(*map(self._close, some)))
        log.info("signed out", closed=ends[_End.CLOSED], unreached=ends[_End.UNREACHED])
        return SignedOut(ends[_End.CLOSED], ends[_End.UNREACHED])

    async def is_everywhere(self, user: UserId) -> bool:
        """Signs the user out, and gives whether all of his sockets are known to be closed."""
        return not (await self.everywhere(user)).unreached

    def _may_be_open(self, connection: Connection) -> bool:
        """Whether its socket may be open. After a goodbye it may be."""
        is_closed = connection.closed_at is not None and connection.left_at is None
        return not is_closed and self._clock() < connection.expires_at

    async def _close(self, connection: Connection) -> _End:
        now = self._clock()
        try:
            was_there = await dismiss(self._sockets, connection)
            if not was_there and not _is_over(connection, now):
                return _End.UNREACHED
            await self._connections.close(connection.id, now)
        except (StoreUnavailable, PostFailed, Refused) as error:
            log.warning("not signed out", to=connection.id, error=str(error))
        except Exception:  # one socket's trouble must not keep back the others
            log.exception("not signed out", to=connection.id)
        else:
            return _End.CLOSED if was_there else _End.GONE
        return _End.UNREACHED


def _is_over(connection: Connection, now: datetime) -> bool:
    """Whether a 410 at `now` means that the socket is closed, rather than in its handshake."""
    return connection.closed_at is not None or connection.is_dead(now)
