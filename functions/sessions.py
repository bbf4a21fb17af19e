"""The sessions of clients: opened by a handshake, admitted by a token, ended by a goodbye."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from functions.calls.call import ConnectionId, UserId
from functions.calls.event import LONGEST_LIFE
from functions.forwarded import Handshake
from functions.published import ConnectionAdmitted, ConnectionOpened
from functions.services.documents import Connection
from functions.services.firestore import Store
from functions.services.identity import Identity, NotAuthenticated
from functions.services.pubsub import Publisher, PublishFailed
from functions.services.remote import StoreUnavailable
from functions.telemetry import Log
from functions.warmup import Step
from functions.wire import socketio
from functions.wire.frames import Connect, Wire

_TRIES = 4  # a connection changes a few times as it begins, and at its end
_ASKED_SECONDS = 1.0  # Python's client gives up after five
_CLIENTS_WAIT = timedelta(seconds=20)  # for the open packet: socket.io-client, as its default

log = Log(__name__)


class ClientGone(Exception):
    """The client disconnected before its `$connect` was handled."""


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
        """1 Commit, and 1 Publish, by which `deliver` opens a Socket.IO client's session and tells
        a client that is authenticated what it has missed; 1 BatchGetDocuments more where the
        connection is known already.

        Raises NotAuthenticated, of a JSON client only: a Socket.IO client that were refused its
        handshake would try again for ever, so it is told once it is connected. Raises PublishFailed
        of a Socket.IO client only, whose session nobody would open. Raises ClientGone,
        IdentityUnavailable and StoreUnavailable.
        """
        now = datetime.now(UTC)
        user, refusal = await self._shown_by(handshake)
        connection = Connection(
            id=id,
            user=user,
            owner=user,
            wire=handshake.wire,
            connected_at=now,
            expires_at=now + self._connection_ttl,
        )
        match handshake.wire:
            case Wire.JSON:
                pass
            case Wire.EIO3:  # it has no CONNECT, by which a client asks to be admitted
                connection = replace(
                    connection, is_open=False, claimed_user=handshake.user, refusal=refusal
                )
            case Wire.EIO4:
                connection = replace(
                    connection,
                    is_open=False,
                    user=None,
                    owner=None,
                    shown_user=user,
                    claimed_user=handshake.user,
                    refusal=refusal,
                )
        if not await self._store.add_connection(connection):
            raise ClientGone("the client has disconnected")
        if handshake.wire is Wire.JSON:
            await self._ask_to_catch_up(id)
        else:
            await self._ask_to_open(connection)

    async def admit(self, id: ConnectionId, request: Connect, requested: datetime | None) -> str:
        """The packet that answers a Socket.IO client's CONNECT.

        1 BatchGetDocuments and 1 Commit, both again on a conflict; 1 Publish if it is admitted.
        Raises IdentityUnavailable and StoreUnavailable.
        """
        for _ in range(_TRIES):
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
            if _is_outdated(connection, requested):
                log.info("let in", outcome="outdated")
                return _answer_at(requested, connection.left_at)
            answer = await self._answer(connection, request, requested)
            if answer is not None:
                return answer
        raise StoreUnavailable("the connection keeps changing")

    async def _answer(
        self, connection: Connection, request: Connect, requested: datetime | None
    ) -> str | None:
        """The packet that admits or refuses; None when the connection changed meanwhile."""
        try:
            user = await self._user(connection, request)
        except NotAuthenticated as error:
            if not await self._is_left(connection, requested, datetime.now(UTC)):
                return None
            log.info("let in", outcome="unauthenticated")
            return socketio.encode_refusal(connection.wire, str(error))
        expires = connection.connected_at + self._connection_ttl
        is_new = user != connection.user or _is_later(requested, connection.admitted_at)
        if is_new and not await self._store.admit(connection, user, requested, expires):
            return None
        # The library repeats a commit whose reply was lost, so what we meet may be our own.
        if is_new or (requested and connection.admitted_at == requested):
            await self._ask_to_catch_up(connection.id)
        log.info("let in", outcome="connected")
        return socketio.encode_connected(connection.wire, connection.id)

    async def leave(self, id: ConnectionId, requested: datetime | None) -> str:
        """The packet that answers a goodbye, on a socket that may stay open: from now on nobody is
        told by it. What was sent before is still its user's.

        1 BatchGetDocuments and 1 Commit, again on a conflict. Raises StoreUnavailable.
        """
        for _ in range(_TRIES):
            now = datetime.now(UTC)
            connection = await self._store.connection(id, now)
            # Text that looks like a packet is none on the JSON wire.
            if connection is None or connection.wire is Wire.JSON:
                return socketio.NOOP
            if await self._is_left(connection, requested, now):
                return _answer_at(requested, connection.admitted_at)
        raise StoreUnavailable("the connection keeps changing")

    async def close(self, id: ConnectionId) -> None:
        """1 Commit. Raises StoreUnavailable."""
        await self._store.close(id, datetime.now(UTC))

    async def _is_left(
        self, connection: Connection, requested: datetime | None, now: datetime
    ) -> bool:
        """1 Commit, if there is a session to end. False when the connection changed meanwhile."""
        return _is_over(connection, requested) or await self._store.leave(
            connection, requested, now
        )

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
        opened = ConnectionOpened(
            connection_id=connection.id,
            connected_at=connection.connected_at,
            expires_at=connection.connected_at + _CLIENTS_WAIT,
        )
        # An EIO4 client is nobody's before its CONNECT.
        admitted = [_admitted(connection.id)] if connection.user else []
        try:
            await self._publisher.publish(opened, *admitted)
        except PublishFailed:
            with suppress(StoreUnavailable):  # what stays is taken for dead in half a minute
                await self.close(connection.id)
            raise

    async def _ask_to_catch_up(self, id: ConnectionId) -> None:
        """Has `deliver` tell what the user has missed. To be connected is worth more than that, so
        the client does not wait long for it."""
        try:
            async with asyncio.timeout(_ASKED_SECONDS):
                await self._publisher.publish(_admitted(id))
        except (PublishFailed, TimeoutError) as error:
            log.error("catch-up not asked for", error=repr(error))

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


def _admitted(id: ConnectionId) -> ConnectionAdmitted:
    return ConnectionAdmitted(connection_id=id, expires_at=datetime.now(UTC) + LONGEST_LIFE)


# Packets of one socket may be handled in another order than they were sent in. When API Gateway
# got them (`requested`) tells, where it is known.


def _is_outdated(connection: Connection, requested: datetime | None) -> bool:
    """Whether the client left, or connected again, after a CONNECT that is handled only now. A
    client that has left may come back on the same socket."""
    if connection.closed_at and connection.left_at is None:
        return True  # the socket itself is closed
    if requested is None:
        return False
    if connection.left_at and requested <= connection.left_at:
        return True
    return _is_later(connection.admitted_at, requested)


def _is_over(connection: Connection, requested: datetime | None) -> bool:
    """Whether a goodbye has nothing to end: the client came back since, or had said it before."""
    if _is_later(connection.admitted_at, requested):
        return True
    return connection.left_at is not None and not _is_later(connection.left_at, requested)


def _is_later(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and one > other


def _answer_at(requested: datetime | None, other: datetime | None) -> str:
    """Of a CONNECT and a goodbye in the same millisecond nobody knows which came first: a client
    that has come back connects anew, and one that has left stays away."""
    is_same = requested is not None and requested == other
    return socketio.RECONNECT if is_same else socketio.NOOP


def _check(user: UserId, *claimed: str | None) -> None:
    if any(name not in (None, user) for name in claimed):
        raise NotAuthenticated("userId is not the token's")
