"""Has a connection that is a user's from now on told what its user has missed."""

import asyncio
from datetime import datetime

from functions.calls.call import ConnectionId
from functions.calls.event import LONGEST_LIFE
from functions.ports.publisher import Publisher, PublishFailed
from functions.published import ConnectionAdmitted
from functions.telemetry import Log

_ASKED_SECONDS = 1.0  # Python's client gives up after five

log = Log(__name__)


def admitted(id: ConnectionId, now: datetime) -> ConnectionAdmitted:
    return ConnectionAdmitted(connection_id=id, expires_at=now + LONGEST_LIFE)


async def publish_admitted(publisher: Publisher, id: ConnectionId, now: datetime) -> None:
    """1 Publish. To be connected is worth more than to be told what one has missed, so the client
    does not wait long for it, and a failure is only logged."""
    try:
        async with asyncio.timeout(_ASKED_SECONDS):
            await publisher.publish(admitted(id, now))
    except (PublishFailed, TimeoutError) as error:
        log.error("catch-up not asked for", error=repr(error))
