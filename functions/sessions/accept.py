"""The handshake: a client has connected, and its connection is accepted or refused."""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from urllib.parse import unquote

from functions.calls.call import ConnectionId
from functions.clients.connection import Connection, Wire
from functions.clients.profile import NO_PROFILE
from functions.clients.ringtoken import RingToken
from functions.ports.clock import Clock
from functions.ports.identity import Identified, Identity, NotAuthenticated
from functions.ports.publisher import Publisher, PublishFailed
from functions.ports.store import Connections, StoreUnavailable
from functions.published import ConnectionAccepted
from functions.sessions.admitted import admitted, publish_admitted
from functions.sessions.deadline import ADMIT_WITHIN
from functions.sessions.ringaccess import RingAccess
from functions.sessions.tokens import verified

_CLIENTS_WAIT = timedelta(seconds=20)  # for the open packet: socket.io-client's default

_Shown = Identified | RingToken | None


class ClientGone(Exception):
    """The client disconnected before its `$connect` was handled."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a client sends with its handshake."""

    wire: Wire
    token: str | None
    user: str | None  # who the client says it is
    ring: str | None = None  # a ring token, which counts before the other
    device: str | None = None  # the app's own name for the device that it is on
    sid: str | None = None  # of the session that it belongs to, if it begins none
    in_query: str | None = None  # the token that its query shows

    @property
    def shown(self) -> str | None:
        """A hash of the token in the query, which is the same in all requests of a client. Whether
        API Gateway has decoded it is not known, so it counts as if it had been."""
        if self.in_query is None:
            return None
        return sha256(unquote(self.in_query).replace("+", " ").encode()).hexdigest()


class Acceptance:
    """Accepts connections."""

    def __init__(
        self,
        connections: Connections,
        publisher: Publisher,
        identity: Identity,
        ring_access: RingAccess,
        clock: Clock,
        connection_ttl: timedelta,
    ) -> None:
        self._connections = connections
        self._publisher = publisher
        self._identity = identity
        self._ring_access = ring_access
        self._clock = clock
        self._connection_ttl = connection_ttl

    async def accept(self, id: ConnectionId, handshake: Handshake) -> None:
        """Stores the connection at 1 Commit, and has `deliver` open a Socket.IO client's session
        and tell an authenticated client what it has missed, at 1 Publish. If the connection is in
        the store already, it costs 1 BatchGetDocuments more; so does a ring token.

        Raises NotAuthenticated for a JSON client only: a Socket.IO client whose handshake is
        refused would try again for ever, so it is told once it is connected. Raises PublishFailed
        for a Socket.IO client only, as nobody would open its session. Raises ClientGone,
        IdentityUnavailable and StoreUnavailable.
        """
        connection = await self.connection_of(id, handshake)
        if not await self._connections.add(connection):
            raise ClientGone("the client has disconnected")
        if handshake.wire is Wire.JSON:
            await publish_admitted(self._publisher, id, self._clock())
        else:
            await self._ask_to_open(connection)

    async def connection_of(self, id: ConnectionId, handshake: Handshake) -> Connection:
        """The connection that a handshake begins, which is not stored. Raises as `accept` does."""
        # Taken before the token is verified: the client's 20 s have begun.
        now = self._clock()
        shown, refusal = await self._shown_by(handshake)
        return self._connection(id, handshake, shown, refusal, now)

    async def _shown_by(self, handshake: Handshake) -> tuple[_Shown, str | None]:
        """What the token says, or why the token of a Socket.IO client is refused."""
        try:
            if handshake.ring is not None:
                return await self._ring_access.verified(handshake.ring, handshake.user), None
            return await verified(self._identity, handshake.token, handshake.user), None
        except NotAuthenticated as error:
            if handshake.wire is Wire.JSON:
                raise
            return None, str(error)

    def _connection(
        self,
        id: ConnectionId,
        handshake: Handshake,
        shown: _Shown,
        refusal: str | None,
        now: datetime,
    ) -> Connection:
        user = shown.user if shown else None
        profile = shown.profile if isinstance(shown, Identified) else NO_PROFILE
        ring = shown if isinstance(shown, RingToken) else None
        connection = Connection(
            id=id,
            user=user,
            owner=user,
            profile=profile,
            wire=handshake.wire,
            connected_at=now,
            expires_at=now + self._connection_ttl,
            only_call=ring.call if ring else None,
            device=(ring.device if ring else None) or handshake.device,
            registration=ring.registration if ring else None,
        )
        unopened = replace(
            connection,
            is_open=False,
            shown_user=user,
            shown_profile=profile,
            said_user=handshake.user,
            refusal=refusal,
        )
        match handshake.wire:
            case Wire.JSON:
                return connection
            case Wire.EIO3:  # it sends no CONNECT, so the handshake admits it
                return unopened if user else replace(unopened, admit_by=now + ADMIT_WITHIN)
            case Wire.EIO4:
                nobodys = replace(unopened, user=None, owner=None, profile=NO_PROFILE)
                return replace(nobodys, admit_by=now + ADMIT_WITHIN)

    async def _ask_to_open(self, connection: Connection) -> None:
        """Has `deliver` open the session. If the publish fails the handshake fails too, and the
        client tries again on another connection."""
        opened = ConnectionAccepted(
            connection_id=connection.id,
            connected_at=connection.connected_at,
            expires_at=connection.connected_at + _CLIENTS_WAIT,
        )
        # The connection of an EIO4 client is nobody's before its CONNECT.
        more = [admitted(connection.id, self._clock())] if connection.user else []
        try:
            await self._publisher.publish(opened, *more)
        except PublishFailed:
            with suppress(StoreUnavailable):  # one that stays counts as dead after 30 s
                await self._connections.close(connection.id, self._clock())
            raise
