"""The two ways to a client: its WebSocket, by API Gateway, or what waits for it until it polls."""

from collections.abc import Awaitable

from functions.calls.call import ConnectionId
from functions.clients.poll import polls
from functions.ports.clock import Clock, system_clock
from functions.ports.sockets import Gone, PostFailed, Sockets
from functions.ports.store import Store, StoreUnavailable
from functions.services import apigateway
from functions.settings import SocketsSettings
from functions.wire import socketio


class Transports:
    """The clients, by connection id, whichever way they are reached."""

    def __init__(self, sockets: Sockets, store: Store, clock: Clock = system_clock) -> None:
        self._sockets = sockets
        self._polls = store.polls
        self._connections = store.connections
        self._clock = clock

    async def post(self, to: ConnectionId, text: str) -> None:
        """1 POST. To a client that polls 1 Commit instead; if it has upgraded, 1 BatchGetDocuments
        and 1 POST more."""
        socket: ConnectionId | None = to
        if polls(to):
            socket = await self._socket_of(to, self._polls.add(to, [text]))
        if socket is not None:
            await self._sockets.post(socket, text)

    async def close(self, to: ConnectionId) -> None:
        """1 DELETE. Of a client that polls 2 Commits instead; if it has upgraded, 1 Commit, 1
        BatchGetDocuments and 1 DELETE."""
        socket: ConnectionId | None = to
        if polls(to):
            socket = await self._socket_of(to, self._end(to))
        if socket is not None:
            await self._sockets.close(socket)

    async def warm_up(self) -> None:
        await self._sockets.warm_up()

    async def _socket_of(self, id: ConnectionId, polled: Awaitable[bool]) -> ConnectionId | None:
        """None if what was to be done could be done where the client polls; else the WebSocket to
        which it has upgraded. Raises Gone and PostFailed."""
        try:
            if await polled:
                return None
            session = await self._connections.get(id, self._clock())
        except StoreUnavailable as error:
            raise PostFailed(str(error)) from error
        if session is None or session.upgraded_to is None:
            raise Gone(id)
        return session.upgraded_to

    async def _end(self, id: ConnectionId) -> bool:
        now = self._clock()
        if not await self._polls.close(id, now, socketio.CLOSE):
            return False
        await self._connections.close(id, now)  # no `$disconnect` will say so
        return True


def connect(settings: SocketsSettings, store: Store) -> Transports:
    """The clients of the API at CONNECTIONS_URL, and those that poll."""
    return Transports(apigateway.connect(settings), store)
