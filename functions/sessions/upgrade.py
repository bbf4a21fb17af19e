"""The upgrade of a session from polling to a WebSocket: the socket bears the session's sid, and
takes it over once the client says so."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

from functions.calls.call import ConnectionId
from functions.clients.connection import Connection
from functions.clients.poll import Poll
from functions.ports.clock import Clock
from functions.ports.polls import Polls, Session
from functions.ports.sockets import Gone, PostFailed, Refused, Sockets
from functions.ports.store import Connections, StoreUnavailable
from functions.sessions.accept import Handshake
from functions.sessions.deadline import ADMIT_WITHIN
from functions.sessions.order import TRIES
from functions.sessions.session import UnknownSession, found
from functions.telemetry import Log
from functions.wire import socketio

log = Log(__name__)


class Upgrades:
    """Has WebSockets take over the sessions of clients that polled."""

    def __init__(
        self,
        connections: Connections,
        polls: Polls,
        sockets: Sockets,
        clock: Clock,
        connection_ttl: timedelta,
        tell_closed: Callable[[ConnectionId], Awaitable[None]] | None,
    ) -> None:
        self._connections = connections
        self._polls = polls
        self._sockets = sockets
        self._clock = clock
        self._connection_ttl = connection_ttl
        self._tell_closed = tell_closed  # None: nobody wants to know

    async def begin(self, id: ConnectionId, handshake: Handshake) -> None:
        """Stores the connection of a WebSocket that bears a session's sid. A session has one such
        socket, and goes on by polling until the client says that it upgrades. Costs 1
        BatchGetDocuments and 1 Commit. Raises UnknownSession and StoreUnavailable."""
        for _ in range(TRIES):
            now = self._clock()
            poll = await found(self._polls, handshake, now)
            if poll.upgraded_by == id:
                return  # it was done, and its reply lost
            if poll.upgraded_by:
                log.warning("second socket of a session", to=poll.id)
                raise UnknownSession
            socket = Connection(
                id=id,
                user=None,
                wire=handshake.wire,
                connected_at=now,
                expires_at=now + self._connection_ttl,
                admit_by=now + ADMIT_WITHIN,  # else it would stay open, if it never upgrades
                upgrades=poll.id,
            )
            if await self._polls.claim(poll, socket):
                return
        raise StoreUnavailable("the session keeps changing")

    async def complete(self, id: ConnectionId) -> str:
        """Makes the connection what its session was, posts what still waits for the client, and
        gives the packet in reply: one that says nothing, unless the client must connect anew.

        Costs 2 BatchGetDocuments, 1 Commit and 1 POST for each packet that waits; 1 Publish more if
        the socket is closed already, and 1 DELETE too if the session was ended. If there is nothing
        to upgrade, it costs 1 BatchGetDocuments. Safe to run twice. Raises StoreUnavailable: then
        nothing was changed.
        """
        upgrade = uuid.uuid4().hex
        session: Session | None = None
        try:
            for _ in range(TRIES):
                now = self._clock()
                connection = await self._connections.get(id, now)
                if connection is None:
                    return socketio.RECONNECT
                if session and connection.upgrade_id == upgrade:
                    # It was done, and its reply lost.
                    return await self._go_on(connection, session.poll)
                if connection.upgrades is None:
                    return socketio.NOOP
                session = await self._polls.session(connection.upgrades, now)
                # If it is not there, another frame of the client's may have moved it just now.
                if session and session.poll.upgraded_by == id:
                    to = _taking_over(connection, session, upgrade, now)
                    if await self._polls.move(session, to, now):
                        return await self._go_on(to, session.poll)
        except StoreUnavailable as error:
            if session is None:
                raise
            # It may have been moved. Who connects anew is told what has waited for him.
            log.error("not known to be upgraded", error=str(error))
        else:
            log.warning("nothing to upgrade", outcome="unknown_session")
        return socketio.RECONNECT

    async def _go_on(self, connection: Connection, poll: Poll) -> str:
        """Posts one packet after the other. Whoever was not reached connects anew, and is told then
        what he has missed. The socket of a session that was ended is closed."""
        log.info("upgraded", outcome="upgraded", served=len(poll.packets))
        if connection.closed_at and self._tell_closed:
            # When its `$disconnect` said so, nobody knew which calls were initiated by it.
            await self._tell_closed(connection.id)
        try:
            for packet in poll.packets:
                await self._sockets.post(connection.id, packet)
            if poll.is_closed:
                await self._sockets.close(connection.id)
        except (Gone, Refused, PostFailed) as error:
            log.warning("post failed", to=connection.id, error=f"{type(error).__name__}: {error}")
            return socketio.RECONNECT
        return socketio.NOOP


def _taking_over(
    connection: Connection, session: Session, upgrade: str, now: datetime
) -> Connection:
    """What the socket becomes. By one that is closed already frames still come that were sent
    before. One whose session was ended is nobody's. Nobody comes back by either."""
    to = connection.taking_over(session.connection, upgrade, now + ADMIT_WITHIN)
    if session.poll.is_closed:
        return replace(to, user=None, owner=None, shown_user=None, closed_at=now)
    closed_at = connection.closed_at
    return replace(to, user=None, closed_at=closed_at) if closed_at else to
