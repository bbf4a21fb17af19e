"""The session of a Socket.IO client that polls: how it begins, and what a poll is told.

A client with default options begins so, and upgrades to a WebSocket within a moment. One that can't
goes on polling.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from functions.calls.call import ConnectionId
from functions.clients.connection import Wire
from functions.clients.poll import SESSION_LASTS, Poll, Sid, new_taker
from functions.ports.clock import Clock
from functions.ports.polls import Polls, Session
from functions.ports.publisher import Publisher
from functions.sessions.accept import Acceptance, Handshake
from functions.sessions.admitted import publish_admitted
from functions.sessions.open import Timers, opening_packets
from functions.sessions.session import UnknownSession, found
from functions.telemetry import Log
from functions.wire import socketio
from functions.wire.payload import MAX_PACKETS_OUT

_UPGRADES = ("websocket",)
_TRIES = 5  # to take what waits, while more comes
_LOOK_EVERY = timedelta(milliseconds=300)
# Right after its handshake a client waits for its CONNECT to be answered, and then, to upgrade, for
# its poll to return.
_HURRY_LASTS = timedelta(seconds=5)
_HURRIED = timedelta(milliseconds=50)

log = Log(__name__)


class Polling:
    """The sessions of clients that poll."""

    def __init__(
        self,
        polls: Polls,
        acceptance: Acceptance,
        publisher: Publisher,
        clock: Clock,
        timers: Mapping[Wire, Timers],
        *,
        hold: timedelta,
        session_ttl: timedelta,
    ) -> None:
        """A poll is held for `hold` when nothing waits; a session lasts `session_ttl` at most."""
        self._polls = polls
        self._acceptance = acceptance
        self._publisher = publisher
        self._clock = clock
        self._timers = timers
        self._hold = hold
        self._session_ttl = session_ttl
        # The polls that this instance holds, by their sessions.
        self._held: dict[ConnectionId, asyncio.Event] = {}

    async def begin(self, handshake: Handshake, asked: str | None = None) -> Sequence[str]:
        """Stores a new session, and gives the packets that open it. `asked` is by what the client
        tells its requests apart, if it does. Costs 1 Commit, and 1 Publish
        if the handshake itself admits the client. Raises IdentityUnavailable and StoreUnavailable.
        """
        sid = Sid.new()
        made = await self._acceptance.connection_of(sid.id, handshake)
        connection = replace(made, is_open=True, expires_at=made.connected_at + SESSION_LASTS)
        poll = Poll(
            id=connection.id,
            wire=connection.wire,
            packets=(),
            expires_at=connection.expires_at,
            ends_at=connection.connected_at + self._session_ttl,
            proof=sid.proof,
            shown=handshake.shown,
            asked=asked,
        )
        await self._polls.begin(Session(connection, poll))
        if connection.user is not None:
            await publish_admitted(self._publisher, connection.id, self._clock())
        log.info("session begun", to=connection.id, wire=connection.wire.value)
        timers = self._timers[connection.wire]
        return list(opening_packets(connection, str(sid), timers, _UPGRADES))

    async def found(self, handshake: Handshake) -> Poll:
        """The session that a request belongs to. Costs 1 BatchGetDocuments, 0 if its sid is none of
        ours. Raises UnknownSession and StoreUnavailable."""
        return await found(self._polls, handshake, self._clock())

    async def takes(self, handshake: Handshake) -> ConnectionId:
        """The session for which a request brings something. One that was ended takes nothing more,
        though its client may not have heard of it. At the same cost; raises the same."""
        poll = await self.found(handshake)
        if poll.is_closed:
            raise UnknownSession
        return poll.id

    async def poll(self, handshake: Handshake, asked: str | None = None) -> Sequence[str]:
        """The packets that wait for the client. If there are none it waits for some, for a while,
        and then gives one that says nothing. A poll that comes again, which by `asked` is known to
        be the same, is given the same: what stands before us may repeat a GET by itself.

        Costs 1 BatchGetDocuments each time that it looks, at once and then every 300 ms, or every
        50 ms in the session's first 5 s, and 1 Commit if something waits, or if the session has not
        been renewed for 20 s. Raises UnknownSession and StoreUnavailable.
        """
        poll = await self.found(handshake)
        # What is the same in all requests of a client tells none of them apart.
        taker = new_taker() if asked in (None, poll.asked) else asked
        for pause in self._pauses(poll):
            if poll.packets or poll.taken_by == taker:
                break
            await self._pause(poll.id, pause)
            was_upgrading, poll = poll.upgraded_by, await self.found(handshake)
            if poll.upgraded_by and not was_upgrading:
                break
        return await self._take(poll, taker, handshake) or (socketio.NOOP,)

    async def add(self, id: ConnectionId, packets: Sequence[str]) -> None:
        """Has these wait for the client. Costs 1 Commit. Raises UnknownSession and
        StoreUnavailable."""
        if not await self._polls.add(id, packets):
            raise UnknownSession
        if held := self._held.get(id):
            held.set()

    async def _take(self, poll: Poll, taker: str, handshake: Handshake) -> Sequence[str]:
        for _ in range(_TRIES):
            if poll.taken_by == taker:  # by this very poll before, or its reply was lost
                return poll.given
            until = poll.renewed_until(self._clock())
            if not poll.packets and until is None:
                break
            given = _next(poll.packets)
            if await self._polls.take(poll, len(given), taker, until):
                return given
            poll = await self.found(handshake)
        return ()  # of a client's polls, another has taken what waited

    def _pauses(self, poll: Poll) -> Iterator[timedelta]:
        """Between one look and the next."""
        is_hurried = poll.ends_at - self._clock() > self._session_ttl - _HURRY_LASTS
        left, most = self._hold, _HURRIED if is_hurried else _LOOK_EVERY
        if is_hurried and poll.upgraded_by:
            left = min(left, _HURRIED)
        while left:
            pause = min(left, most)
            yield pause
            left -= pause

    async def _pause(self, id: ConnectionId, pause: timedelta) -> None:
        """Waits until something comes by this very instance, or for so long."""
        came = self._held.setdefault(id, asyncio.Event())
        try:
            async with asyncio.timeout(pause.total_seconds()):
                await came.wait()
        except TimeoutError:
            return
        finally:
            self._held.pop(id, None)


def _next(packets: Sequence[str]) -> Sequence[str]:
    """What one reply gives. The packet that closes goes alone: with a goodbye before it, JavaScript
    4 would say twice that it is disconnected."""
    given = packets[:MAX_PACKETS_OUT]
    return given[: given.index(socketio.CLOSE) or 1] if socketio.CLOSE in given else given
