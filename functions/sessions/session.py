"""Which session a request of a client belongs to that polls, or did until now."""

from datetime import datetime
from hmac import compare_digest

from functions.clients.poll import Poll, Sid
from functions.ports.polls import Polls
from functions.sessions.accept import Handshake
from functions.telemetry import Log

log = Log(__name__)


class UnknownSession(Exception):
    """There is no such session (any more), or it is somebody else's."""


async def found(polls: Polls, handshake: Handshake, now: datetime) -> Poll:
    """What waits for the client of the session that `handshake` names. Costs 1 BatchGetDocuments, 0
    if its sid is none of ours. Raises UnknownSession and StoreUnavailable."""
    sid = Sid.read(handshake.sid or "")
    poll = await polls.get(sid.id) if sid else None
    if sid is None or poll is None or poll.is_over(now):
        raise UnknownSession
    is_as_it_began = (poll.wire, poll.shown) == (handshake.wire, handshake.shown)
    if not compare_digest(poll.proof, sid.proof) or not is_as_it_began:
        log.warning("foreign session", to=poll.id)
        raise UnknownSession
    return poll
