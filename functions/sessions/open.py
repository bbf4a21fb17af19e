"""Opens Socket.IO sessions: posts the packets that a client waits for once it is connected."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from functions.attempt import NotDelivered
from functions.calls.call import ConnectionId
from functions.clients.connection import Connection, Wire
from functions.ports.clock import Clock
from functions.ports.sockets import Gone, PostFailed, Refused, Sockets
from functions.ports.store import Connections
from functions.published import ConnectionOpened
from functions.telemetry import Log, latency_ms
from functions.wire import socketio

# After a 410, which the first POST meets while API Gateway still answers the handshake. Pub/Sub
# would come again only after a second and more, and Python's client waits for five.
_PAUSES_SECONDS = (0.05, 0.1, 0.2, 0.4)

log = Log(__name__)


@dataclass(frozen=True, slots=True)
class Timers:
    """The heartbeat that a session's open packet asks for."""

    ping_interval: timedelta
    ping_timeout: timedelta


class Opener:
    """Opens the session of a connection that a client has opened."""

    def __init__(
        self,
        connections: Connections,
        sockets: Sockets,
        clock: Clock,
        timers: Mapping[Wire, Timers],
    ) -> None:
        self._connections = connections
        self._sockets = sockets
        self._clock = clock
        self._timers = timers

    async def open(self, event: ConnectionOpened) -> None:
        """1 BatchGetDocuments, 1 POST (2 for EIO3), 1 Commit.

        Run again, it does nothing; run twice at once, it posts twice, which does a client no harm
        (version 2 says `connect` twice). Raises NotDelivered when the connection could not be
        posted to, which right after the handshake says little.
        """
        now = self._clock()
        connection = await self._connections.get(event.connection_id, now)
        if connection is None or connection.is_open or connection.closed_at:
            log.info("superseded", outcome="superseded")
            return
        try:
            if event.expired(now):
                await self._turn_away(connection.id)
                return
            for packet in self._packets(connection):
                await self._post(connection.id, packet)
        except Refused as error:
            log.error("post refused", to=connection.id, error=str(error))
            return
        await self._connections.open(connection.id)
        latency = latency_ms(event.connected_at, self._clock())
        log.info("opened", outcome="opened", wire=connection.wire.value, latencyMs=latency)

    async def _turn_away(self, id: ConnectionId) -> None:
        """Makes a client come again that may still wait: Python's never gives up by itself."""
        log.warning("too late", outcome="expired")
        try:
            await self._sockets.post(id, socketio.RECONNECT)
        except Gone:
            return  # it has given up
        except PostFailed as error:
            raise NotDelivered(str(error)) from error

    def _packets(self, connection: Connection) -> Iterator[str]:
        timers = self._timers[connection.wire]
        yield socketio.encode_open(connection.id, timers.ping_interval, timers.ping_timeout)
        if connection.wire is Wire.EIO4:
            return  # the client asks to be let in
        if connection.user is not None:
            yield socketio.encode_admitted(connection.wire, connection.id)
        else:
            message = connection.refusal or "the token is missing"
            yield socketio.encode_refusal(connection.wire, message)

    async def _post(self, id: ConnectionId, packet: str) -> None:
        """Returns only once `packet` is there: the next may not overtake it."""
        try:
            for seconds in _PAUSES_SECONDS:
                with suppress(Gone):
                    await self._sockets.post(id, packet)
                    return
                await asyncio.sleep(seconds)
            await self._sockets.post(id, packet)
        except (Gone, PostFailed) as error:
            raise NotDelivered(f"{type(error).__name__}: {error}") from error
