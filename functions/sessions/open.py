"""Opens Socket.IO sessions: posts the packets that a client waits for once it is connected."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from functions.attempt import NotDelivered
from functions.calls.call import ConnectionId
from functions.clients.connection import Connection, Wire
from functions.ports.clock import Clock
from functions.ports.sockets import Gone, PostFailed, Refused, Sockets
from functions.ports.store import Connections
from functions.published import ConnectionAccepted
from functions.telemetry import Log, latency_ms
from functions.wire import socketio

# Each follows a 410, which API Gateway answers to a POST until the handshake is over. Pub/Sub would
# deliver again only after a second or more, and Python's threaded client waits for 5 s.
_PAUSES_SECONDS = (0.05, 0.1, 0.2, 0.4)

log = Log(__name__)


@dataclass(frozen=True, slots=True)
class Timers:
    """The heartbeat that a session's open packet asks for."""

    ping_interval: timedelta
    ping_timeout: timedelta


class Opener:
    """Opens the sessions of Socket.IO clients that have connected."""

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

    async def open(self, event: ConnectionAccepted) -> None:
        """Posts the packets that the client waits for. Costs 1 BatchGetDocuments, 1 POST (2 for
        EIO3) and 1 Commit.

        A second run does nothing. Two runs at once both post, which does no harm (a client of
        version 2 says `connect` twice). Raises StoreUnavailable, and NotDelivered if a POST failed:
        right after the handshake, that does not mean that the client has gone.
        """
        now = self._clock()
        connection = await self._connections.get(event.connection_id, now)
        is_late = event.expired(now)
        if connection is None or _nobody_waits(connection, is_late=is_late):
            log.info("superseded", outcome="superseded")
            return
        try:
            if is_late:
                await self._turn_away(connection.id)
                return
            timers = self._timers[connection.wire]
            for packet in opening_packets(connection, connection.id, timers):
                await self._post(connection.id, packet)
        except Refused as error:
            log.error("post refused", to=connection.id, error=str(error))
            return
        await self._connections.note_opened(connection.id)
        latency = latency_ms(event.connected_at, self._clock())
        log.info("opened", outcome="opened", wire=connection.wire.value, latencyMs=latency)

    async def _turn_away(self, id: ConnectionId) -> None:
        """Makes a client that may still wait connect again: Python's asyncio one never gives up."""
        log.warning("too late", outcome="expired")
        try:
            await self._sockets.post(id, socketio.RECONNECT)
        except Gone:
            return  # the client has given up
        except PostFailed as error:
            raise NotDelivered(str(error)) from error

    async def _post(self, id: ConnectionId, packet: str) -> None:
        """Posts `packet`, and returns only once it has arrived: the next must not overtake it."""
        try:
            for seconds in _PAUSES_SECONDS:
                with suppress(Gone):
                    await self._sockets.post(id, packet)
                    return
                await asyncio.sleep(seconds)
            await self._sockets.post(id, packet)
        except (Gone, PostFailed) as error:
            raise NotDelivered(f"{type(error).__name__}: {error}") from error


def opening_packets(
    connection: Connection, sid: str, timers: Timers, upgrades: Sequence[str] = ()
) -> Iterator[str]:
    """The packets that a client waits for once it is connected; `upgrades` are the transports that
    it may go over to."""
    wire, interval, timeout = connection.wire, timers.ping_interval, timers.ping_timeout
    yield socketio.encode_open(wire, sid, interval, timeout, upgrades)
    if connection.wire is Wire.EIO4:
        return  # the client asks to be admitted, by its CONNECT
    if connection.user is not None:
        yield socketio.encode_admitted(connection.wire, connection.id)
    else:
        message = connection.refusal or "the token is missing"
        yield socketio.encode_refusal(connection.wire, message)


def _nobody_waits(connection: Connection, *, is_late: bool) -> bool:
    """Whether no client waits for anything.

    A connection that was closed because it did not open in time may have a client that got the
    packets all the same: it takes itself for connected, and must connect again.
    """
    if connection.is_open or connection.left_at:
        return True
    return connection.closed_at is not None and not is_late
