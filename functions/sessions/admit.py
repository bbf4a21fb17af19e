"""A Socket.IO client's CONNECT: its connection becomes a user's, or is refused."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

from functions.calls.call import ConnectionId
from functions.clients.connection import ROOT, Connection, Wire
from functions.ports.clock import Clock
from functions.ports.identity import Identified, Identity, NotAuthenticated
from functions.ports.publisher import Publisher
from functions.ports.store import Connections, StoreUnavailable
from functions.sessions.admitted import publish_admitted
from functions.sessions.close import Closing
from functions.sessions.deadline import ADMIT_WITHIN
from functions.sessions.order import TRIES, connect_is_outdated, is_later, reply_in_order
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
        closing: Closing,
        clock: Clock,
        connection_ttl: timedelta,
        namespaces: Collection[str],
    ) -> None:
        self._connections = connections
        self._publisher = publisher
        self._identity = identity
        self._closing = closing
        self._clock = clock
        self._connection_ttl = connection_ttl
        self._namespaces = {ROOT, *namespaces}

    async def admit(self, id: ConnectionId, request: Connect, received_at: datetime | None) -> str:
        """The packet that replies to a CONNECT.

        Costs 1 BatchGetDocuments and 1 Commit, both again on a conflict, and 1 Publish if the
        client is admitted. Raises IdentityUnavailable and StoreUnavailable.
        """
        for _ in range(TRIES):
            connection = await self._connections.get(id, self._clock())
            if connection is None:
                log.info("admission", outcome="unknown_connection")
                return socketio.RECONNECT
            if connection.wire is Wire.JSON:
                return socketio.NOOP
            if request.namespace not in self._namespaces:
                log.info("admission", outcome="invalid")
                message = "Invalid namespace"
                return socketio.encode_refusal(connection.wire, message, request.namespace)
            is_besides = _is_besides(connection, request.namespace)
            if connect_is_outdated(connection, received_at) and not is_besides:
                log.info("admission", outcome="outdated")
                return reply_in_order(received_at, connection.left_at)
            reply = await self._reply(connection, request, received_at)
            if reply is not None:
                return reply
        raise StoreUnavailable("the connection keeps changing")

    async def _reply(
        self, connection: Connection, request: Connect, received_at: datetime | None
    ) -> str | None:
        """The packet that admits or refuses; None if the connection changed since it was read."""
        told = _told_in(connection, request.namespace)
        try:
            admitted = await self._admitted(connection, request)
        except NotAuthenticated as error:
            now = self._clock()
            # Who is refused again and again has no longer than who is refused once.
            admit_by = connection.admit_by or now + ADMIT_WITHIN
            if not await self._closing.leave_unless_outdated(told, received_at, now, admit_by):
                return None
            log.info("admission", outcome="unauthenticated")
            return socketio.encode_refusal(connection.wire, str(error), request.namespace)
        expires = connection.connected_at + self._connection_ttl
        is_other = (admitted.user, admitted.profile, told.namespace) != (
            connection.user,
            connection.profile,
            connection.namespace,
        )
        is_new = is_other or is_later(received_at, connection.admitted_at)
        if is_new and not await self._connections.admit(told, admitted, received_at, expires):
            return None
        # Also if it is not new: an earlier commit of this very CONNECT may have lost its reply.
        await publish_admitted(self._publisher, connection.id, self._clock())
        log.info("admission", outcome="connected")
        return socketio.encode_admitted(connection.wire, connection.id, request.namespace)

    async def _admitted(self, connection: Connection, request: Connect) -> Identified:
        """The user to admit; a token in the CONNECT wins over one in the query."""
        if request.token is not None:
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


def _told_in(connection: Connection, namespace: str) -> Connection:
    """The connection, as it is told once its client is in `namespace`."""
    is_besides = _is_besides(connection, namespace)
    return connection if is_besides else replace(connection, namespace=namespace)


def _is_besides(connection: Connection, namespace: str) -> bool:
    """Whether a client asks for the root beside its own namespace, in which it stays told. It may
    ask for both at once, and for the root first."""
    return connection.user is not None and namespace == ROOT != connection.namespace
