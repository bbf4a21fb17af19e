"""The sessions of clients: opened by a handshake, let in by a token, closed by a disconnect."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from functions.calls.call import ConnectionId, UserId
from functions.forwarded import Handshake
from functions.published import ConnectionOpened
from functions.services.documents import Connection
from functions.services.firestore import Store
from functions.services.identity import Identity, NotAuthenticated
from functions.services.pubsub import Publisher, PublishFailed
from functions.services.remote import StoreUnavailable
from functions.telemetry import Log
from functions.warmup import Step
from functions.wire import socketio
from functions.wire.frames import Connect, Wire

_CLIENTS_WAIT = timedelta(seconds=20)  # for the open packet: socket.io-client, as its default

log = Log(__name__)


class Sessions:
    """Who is on which connection."""

    def __init__(
        self, store: Store, publisher: Publisher, identity: Identity, connection_ttl: timedelta
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._identity = identity
        self._connection_ttl = connection_ttl

    def warm_up_steps(self) -> Sequence[Step]:
        return (self._identity.warm_up,)

    async def open(self, id: ConnectionId, handshake: Handshake) -> None:
        """1 Commit; for a Socket.IO client 1 Publish more, by which `deliver` opens its session.

        Raises NotAuthenticated, of a JSON client only: a Socket.IO client that were refused its
        handshake would try again for ever, so it is told once it is connected. Raises
        IdentityUnavailable, StoreUnavailable and PublishFailed.
        """
        now = datetime.now(UTC)
        user, refusal = await self._shown_by(handshake)
        connection = Connection(
            id=id,
            user=user,
            wire=handshake.wire,
            connected_at=now,
            expires_at=now + self._connection_ttl,
        )
        match handshake.wire:
            case Wire.JSON:
                await self._store.add_connection(connection)
                return
            case Wire.EIO3:  # it has no CONNECT, by which a client asks to be let in
                waiting = replace(
                    connection, is_open=False, claimed_user=handshake.user, refusal=refusal
                )
            case Wire.EIO4:
                waiting = replace(
                    connection,
                    is_open=False,
                    user=None,
                    shown_user=user,
                    claimed_user=handshake.user,
                    refusal=refusal,
                )
        await self._store.add_connection(waiting)
        await self._ask_to_open(waiting)

    async def let_in(self, id: ConnectionId, request: Connect) -> str:
        """The packet that answers a Socket.IO client's CONNECT.

        1 BatchGetDocuments and, if that changes whose connection it is, 1 Commit. Raises
        IdentityUnavailable and StoreUnavailable.
        """
        connection = await self._store.connection(id, datetime.now(UTC))
        if connection is None:
            log.info("let in", outcome="unknown_connection")
            return socketio.RECONNECT
        if connection.wire is Wire.JSON:
            return socketio.NOOP
        if request.namespace != socketio.ROOT:
            log.info("let in", outcome="invalid")
            message = "Invalid namespace"
            return socketio.encode_refusal(connection.wire, message, request.namespace)
        try:
            user = await self._user(connection, request)
        except NotAuthenticated as error:
            log.info("let in", outcome="unauthenticated")
            if connection.user is not None:
                await self._store.shut_out(id)
            return socketio.encode_refusal(connection.wire, str(error))
        if user != connection.user and not await self._store.authenticate(id, user):
            log.info("let in", outcome="unknown_connection")
            return socketio.RECONNECT
        log.info("let in", outcome="connected")
        return socketio.encode_connected(connection.wire, id)

    async def close(self, id: ConnectionId) -> None:
        """1 Commit. Raises StoreUnavailable."""
        await self._store.remove_connection(id)

    async def _shown_by(self, handshake: Handshake) -> tuple[UserId | None, str | None]:
        """The user, or why what a Socket.IO client showed won't do."""
        try:
            return await self._verify(handshake.token, handshake.user), None
        except NotAuthenticated as error:
            if handshake.wire is Wire.JSON:
                raise
            return None, str(error)

    async def _ask_to_open(self, connection: Connection) -> None:
        """Has `deliver` open the session; if that fails so does the handshake, and the client
        comes again on another connection."""
        event = ConnectionOpened(
            connection_id=connection.id,
            connected_at=connection.connected_at,
            expires_at=connection.connected_at + _CLIENTS_WAIT,
        )
        try:
            await self._publisher.publish(event)
        except PublishFailed:
            with suppress(StoreUnavailable):  # what stays is taken for dead in half a minute
                await self._store.remove_connection(connection.id)
            raise

    async def _user(self, connection: Connection, request: Connect) -> UserId:
        """Whose the connection is to be; a token in the CONNECT wins over one in the query."""
        if request.token is not None:
            return await self._verify(request.token, request.user, connection.claimed_user)
        user = connection.user or connection.shown_user
        if user is None:
            raise NotAuthenticated(connection.refusal or "the token is missing")
        _check(user, request.user)
        return user

    async def _verify(self, token: str | None, *claimed: str | None) -> UserId:
        if token is None:
            raise NotAuthenticated("the token is missing")
        user = await self._identity.verify(token)
        _check(user, *claimed)
        return user


def _check(user: UserId, *claimed: str | None) -> None:
    if any(name not in (None, user) for name in claimed):
        raise NotAuthenticated("userId is not the token's")
