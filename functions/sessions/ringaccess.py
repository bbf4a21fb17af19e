"""Who shows a ring token is let in for its one call, until some time after the call's end."""

from datetime import datetime

from functions.clients.ringtoken import RingToken, may_be_read
from functions.ports.clock import Clock
from functions.ports.identity import NotAuthenticated
from functions.ports.ring_tokens import RingTokens
from functions.ports.store import Calls, StoredCall
from functions.sessions.tokens import check_said

OVER = "the call of the ring token is over"


class RingAccess:
    """Lets in by ring tokens."""

    def __init__(self, tokens: RingTokens, calls: Calls, clock: Clock) -> None:
        self._tokens = tokens
        self._calls = calls
        self._clock = clock

    async def verified(self, text: str, *said: str | None) -> RingToken:
        """What a token says whose call is there and not long over. `said` is who the client says it
        is. Costs 1 BatchGetDocuments. Raises NotAuthenticated and StoreUnavailable."""
        token = self._tokens.verify(text)
        check_said(token.user, *said)
        stored = await self._calls.get(token.call)
        is_his = isinstance(stored, StoredCall) and stored.call.receiver == token.user
        if not isinstance(stored, StoredCall) or not is_his or is_over(stored, self._clock()):
            raise NotAuthenticated(OVER)
        return token


def is_over(stored: StoredCall, now: datetime) -> bool:
    """Whether the call ended too long ago to be read by a ring token. Of an end that we have not
    seen, the document was changed last by whoever ended it."""
    call = stored.call
    return call.is_over and not may_be_read(call.ended_at or stored.version, now)
