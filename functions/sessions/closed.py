"""Says that a connection is closed, so that a call that was initiated by it is looked at."""

import asyncio
from datetime import datetime

from functions.calls.call import ConnectionId
from functions.calls.event import LONGEST_LIFE
from functions.ports.publisher import Publisher, PublishFailed
from functions.published import ConnectionClosed
from functions.telemetry import Log

_SAID_SECONDS = 1.0

log = Log(__name__)


async def publish_closed(publisher: Publisher, id: ConnectionId, now: datetime) -> None:
    """Costs 1 Publish. A failure is only logged: the connection is closed all the same, API Gateway
    does not say so twice, and the ring ends when its time is over."""
    closed = ConnectionClosed(connection_id=id, expires_at=now + LONGEST_LIFE)
    try:
        async with asyncio.timeout(_SAID_SECONDS):
            await publisher.publish(closed)
    except (PublishFailed, TimeoutError) as error:
        log.error("close not published", error=repr(error))
