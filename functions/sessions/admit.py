"""A Socket.IO client's CONNECT: its connection becomes a user's, or is refused."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

from functions.calls.call import ConnectionId
from functions.clients.connection import ROOT, Connection, Wire
from functions.clients.poll import SESSION_LASTS, polls
from functions.ports.clock import Clock
from functions.ports.identity import Identified, Identity, NotAuthenticated
from functions.ports.publisher import Publisher
from functions.ports.store import Connections, StoreUnavailable
from functions.sessions.admitted import publish_admitted
from functions.sessions.close import Closing
from functions.sessions.deadline import ADMIT_WITHIN
from functions.sessions.order import (
    TRIES,
    connect_is_outdated,
    is_later,
    reply_in_order,
)
from functions.sessions.ringaccess import RingAccess
from functions.sessions.tokens import check_said, verified
from functions.telemetry import Log
from functions.wire import socketio
from functions.wire.frames import Connect

log = Log(__name__)


class Admission:
    """Admits Socket.IO clients to the root namespace, and to those that count as it."""

    def __init__(
        self,
        connections: Connections,
        publisher: Publisher,
        identity: Identity,
        ring_access: RingAccess,
        closing: Closing,
        clock: Clock,
        connection_ttl: timedelta,
        namespaces: Collection[str],
    ) -> None:
        self._connections = connections
        self._publisher = publisher
        self._identity = identity
        self._ring_access = ring_access
        self._closing = closing
        self._clock = clock
        self._connection_ttl = connection_ttl
        self._namespaces = {ROOT, *namespaces}

    async def admit(self, id: ConnectionId, request: Connect, received_at: datetime | None) -> str:
        """The packet that replies to a CONNECT.

        Costs 1 BatchGetDocuments and 1 Commit, both again on a conflict, and 1 Publish if the
        client is admitted. A ring token costs 1 BatchGetDocuments more. Raises NotUpgraded,
        IdentityUnavailable and StoreUnavailable.
        """
        for _ in range(TRIES):
            connection = await self._connections.get(id, self._clock())
            if connection is None:
                log.info("admission", outcome="unknown_connection")
                return socketio.RECONNECT
            if connection.wire is Wire.JSON:
                return socketio.NOOP
            connection.check_upgraded()
            if request.namespace not in self._namespaces:
                log.info("admission", outcome="invalid")
                message = "Invalid namespace"
                return socketio.encode_refusal(connection.wire, message, request.namespace)
            if connect_is_outdated(connection, request.namespace, received_at):
                log.info("admission", outcome="outdated")
                return _reply_to_outdated(connection, request.namespace, received_at)
            reply = await self._reply(connection, request, received_at)
            if reply is not None:
                return reply
        raise StoreUnavailable("the connection keeps changing")

    async def _reply(
        self, connection: Connection, request: Connect, received_at: datetime | None
    ) -> str | None:
        """The packet that admits or refuses; None if the connection changed since it was read."""
        try:
            admitted, connection = await self._admitted(connection, request)
        except NotAuthenticated as error:
            now = self._clock()
            # Who is refused again and again has no longer than who is refused once.
            admit_by = connection.admit_by or now + ADMIT_WITHIN
            if not await self._closing.leave_unless_outdated(
                connection, request.namespace, received_at, now, admit_by
            ):
                return None
            log.info("admission", outcome="unauthenticated")
            return socketio.encode_refusal(connection.wire, str(error), request.namespace)
        told = connection.entering(request.namespace, received_at)
        if request.device is not None and told.only_call is None:
            told = replace(told, device=request.device)
        if admitted.user != connection.user:  # where the former one was is not his
            told = replace(told, also_in={})
        expires = self._expiry_of(connection)
        if _is_new(connection, told, admitted) and not await self._connections.admit(
            told, admitted, told.admitted_at, expires
        ):
            return None
        # Also if it is not new: an earlier commit of this very CONNECT may have lost its reply.
        await publish_admitted(self._publisher, connection.id, self._clock())
        log.info("admission", outcome="connected")
        return socketio.encode_admitted(connection.wire, connection.id, request.namespace)

    def _expiry_of(self, connection: Connection) -> datetime:
        """Nobody says when a client that polls has gone, but it polls."""
        if polls(connection.id):
            return self._clock() + SESSION_LASTS
        return connection.connected_at + self._connection_ttl

    async def _admitted(
        self, connection: Connection, request: Connect
    ) -> tuple[Identified, Connection]:
        """The user to admit, and the connection, which is for one call if a ring token says so.
        Raises NotAuthenticated, also for another user than the one who is told in another
        namespace: he must not lose his socket without a word."""
        if request.ring is not None:
            return await self._by_ring_token(connection, request, request.ring)
        known = await self._shown(connection, request)
        is_told_elsewhere = connection.is_told_elsewhere(request.namespace)
        # Whoever knows the id of a session must not make it his own.
        is_bound = polls(connection.id) and connection.owner is not None
        if (is_told_elsewhere or is_bound) and known.user != connection.owner:
            raise NotAuthenticated("the connection is another user's")
        return known, connection

    async def _by_ring_token(
        self, connection: Connection, request: Connect, shown: str
    ) -> tuple[Identified, Connection]:
        """As above. The frames that its owner sent before are judged by the connection as it is
        then, so a ring token does not change what an owner's connection is for."""
        token = await self._ring_access.verified(shown, request.user, connection.said_user)
        of_call = replace(
            connection,
            only_call=token.call,
            device=token.device or connection.device,
            registration=token.registration or connection.registration,
        )
        is_same = connection.owner == token.user and connection == of_call
        if connection.owner is not None and not is_same:
            raise NotAuthenticated("the connection is for something else: open another")
        return Identified(token.user), of_call

    async def _shown(self, connection: Connection, request: Connect) -> Identified:
        """The user whom the client shows; a token in the CONNECT wins over one in the query, but
        not over a ring token there."""
        if request.token is not None and connection.only_call is None:
            said = (request.user, connection.said_user)
            return await verified(self._identity, request.token, *said)
        if connection.user is not None:
            known = Identified(connection.user, connection.profile)
        elif connection.shown_user is not None:
            known = Identified(connection.shown_user, connection.shown_profile)
        else:
            raise NotAuthenticated(connection.refusal or "the token is missing")
        check_said(known.user, request.user)
        return known


def _is_new(connection: Connection, told: Connection, admitted: Identified) -> bool:
    """Whether a CONNECT changes whom the connection tells, and where."""
    before = (connection.user, connection.profile, connection.namespace, connection.also_in)
    after = (admitted.user, admitted.profile, told.namespace, told.also_in)
    return after != before or is_later(told.admitted_at, connection.admitted_at)


def _reply_to_outdated(connection: Connection, namespace: str, received_at: datetime | None) -> str:
    if connection.left_at and namespace != connection.namespace:
        # The client left another namespace since, and maybe not this one. It is made to connect
        # anew, to whichever it is still in.
        return socketio.RECONNECT
    return reply_in_order(received_at, connection.left_at)
