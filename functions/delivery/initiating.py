"""Has a call ring that its caller himself asks for, and names him to the receiver."""

from dataclasses import replace
from datetime import timedelta

from functions.calls.call import CallId, ConnectionId
from functions.calls.decision import Verdict, invalid
from functions.calls.ring import BUSY, Initiate, Ring
from functions.clients.connection import Connection
from functions.clients.profile import NO_PROFILE
from functions.clients.sender import sender_of
from functions.delivery.commit import Received
from functions.delivery.notify import post
from functions.delivery.ringing import Ringing
from functions.dialect.dialect import Dialect
from functions.ports.identity import Identified
from functions.ports.sockets import Sockets
from functions.ports.store import Calls
from functions.wire.codecs import Codecs
from functions.wire.requests import InvalidRequest, ring_of


class Initiating:
    """Carries out `call:initiate`."""

    def __init__(
        self,
        calls: Calls,
        ringing: Ringing,
        sockets: Sockets,
        codecs: Codecs,
        dialect: Dialect,
        *,
        ring_seconds: int,
        notes_callers: bool,
        post_timeout: timedelta,
    ) -> None:
        """A ring lasts `ring_seconds` at most. With `notes_callers` a connection notes what it has
        initiated, so that the ring ends when the caller is gone."""
        self._calls = calls
        self._ringing = ringing
        self._sockets = sockets
        self._codecs = codecs
        self._dialect = dialect
        self._ring_seconds = ring_seconds
        self._notes_callers = notes_callers
        self._post_timeout = post_timeout

    async def handle(self, asked: Initiate, id: ConnectionId, received: Received) -> Verdict:
        """Carries out what came by a frame, and gives the verdict.

        Costs 1 BatchGetDocuments, and what the ring costs; if the receiver is busy 1 POST more,
        which tells the caller so. Raises StoreUnavailable and PublishFailed: then the call and its
        outbox entry are both written, or neither. Repeating it is safe.
        """
        call = asked.call_id
        assert call is not None  # noqa: S101 - whoever took the frame has made one
        loaded = await self._calls.load(call, id, received.began_at)
        sender = sender_of(loaded.connection, received.received_at)
        if isinstance(sender, Verdict):
            return sender
        connection = loaded.connection
        assert connection  # noqa: S101 - or it would have had no sender
        # What its profile says is its owner's, who may have come after this frame was sent.
        profile = connection.profile if sender == connection.owner else NO_PROFILE
        asked = replace(asked, by=connection.acting(asked.by))
        try:
            ring = self._ring_of(asked, Identified(sender, profile))
        except InvalidRequest as error:
            return invalid(error.field, error.message)
        noted = connection if self._notes_callers else None
        verdict = await self._ringing.begin(ring, received, loaded.call, noted)
        if verdict == BUSY:
            await self._tell_busy(call, connection)
        return verdict

    async def handle_of(self, asked: Initiate, caller: Identified, received: Received) -> Verdict:
        """Carries out what a caller asks for who is known, at the same costs. Raises the same, and
        InvalidRequest."""
        ring = self._ring_of(asked, caller)
        stored = await self._calls.get(ring.call_id)
        return await self._ringing.begin(ring, received, stored)

    def _ring_of(self, asked: Initiate, caller: Identified) -> Ring:
        name = caller.profile.name
        return ring_of(asked, caller.user, name, self._ring_seconds, self._dialect)

    async def _tell_busy(self, call: CallId, connection: Connection) -> None:
        """A failure is only logged: the verdict says the same."""
        frame = self._codecs.busy_for(connection, call)
        await post(self._sockets, [(connection, frame)], self._post_timeout)
