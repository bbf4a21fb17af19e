"""Relays an event of the app's own to the other party of a call: load, decide, post.

Nothing is stored or published, so who has no open socket just now does not hear it later.
"""

from datetime import datetime, timedelta

from functions.calls.call import Call, ConnectionId, Party, Status, UnreadableCall, UserId
from functions.calls.decision import NOT_FOUND, UNAVAILABLE, UNREADABLE, Verdict
from functions.clients.sender import sender_of
from functions.delivery.notify import post
from functions.ports.clock import Clock
from functions.ports.sockets import Sockets
from functions.ports.store import Store, StoredCall
from functions.wire.codecs import Codecs
from functions.wire.frames import Relay

RELAYED = Verdict(ok=True, outcome="relayed")
NOT_THERE = Verdict(ok=False, outcome="not_there")
NOT_ACCEPTED = Verdict(ok=False, outcome="not_accepted")


class Relaying:
    """Carries out what clients ask to be relayed."""

    def __init__(
        self,
        store: Store,
        sockets: Sockets,
        codecs: Codecs,
        clock: Clock,
        post_timeout: timedelta,
    ) -> None:
        self._store = store
        self._sockets = sockets
        self._codecs = codecs
        self._clock = clock
        self._post_timeout = post_timeout

    async def handle(
        self, relay: Relay, connection: ConnectionId, received_at: datetime | None
    ) -> Verdict:
        """Relays what came by `connection`, and gives the verdict: `RELAYED` once a socket of the
        other party has it, `NOT_THERE` if he has none, and `UNAVAILABLE` if one that may be open
        was not reached in time: it may have got it all the same.

        Costs 1 BatchGetDocuments; of an accepted call also 1 RunQuery, and 1 POST for each
        connection of the other party. Raises StoreUnavailable. A repeat may be heard twice.
        """
        now = self._clock()
        loaded = await self._store.calls.load(relay.call_id, connection, now)
        sender = sender_of(loaded.connection, received_at)
        if isinstance(sender, Verdict):
            return sender
        call = loaded.call.call if isinstance(loaded.call, StoredCall) else loaded.call
        other = _other_party(call, sender)
        if isinstance(other, Verdict):
            return other
        found = await self._store.connections.of([other], now)
        hearing = [each for each in found if each.hears_of(relay.call_id)]
        frames = [(each, self._codecs.relay_for(each, relay)) for each in hearing]
        report = await post(self._sockets, frames, self._post_timeout)
        if report.served:
            return RELAYED
        return UNAVAILABLE if report.failed else NOT_THERE


def _other_party(call: Call | UnreadableCall | None, sender: UserId) -> UserId | Verdict:
    """Who hears what `sender` has relayed: himself, if he calls himself. The verdict if nobody."""
    if isinstance(call, UnreadableCall):
        return UNREADABLE if sender in call.users else NOT_FOUND
    # One answer for both, so that nobody can find out which call ids exist.
    if call is None or not (parties := call.parties(sender)):
        return NOT_FOUND
    if call.status is not Status.ACCEPTED:
        return NOT_ACCEPTED
    return call.receiver if Party.CALLER in parties else call.caller
