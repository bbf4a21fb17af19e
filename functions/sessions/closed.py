"""Says that a connection is closed, so that a call that was initiated by it is looked at."""

from datetime import datetime

from functions.calls.call import ConnectionId
from functions.calls.event import LONGEST_LIFE
from functions.ports.publisher import Publisher
from functions.published import ConnectionClosed
from functions.sessions.admitted import not_published
from functions.telemetry import Log

log = Log(__name__)


async def publish_closed(publisher: Publisher, id: ConnectionId, now: datetime) -> None:
    """Costs 1 Publish. A failure is only logged: the connection is closed all the same, API Gateway
    does not say so twice, and the ring ends when its time is over."""
    closed = ConnectionClosed(connection_id=id, expires_at=now + LONGEST_LIFE)
    if error := await not_published(publisher, closed):
        log.error("close not published", error=repr(error))
