"""Asks `deliver` to tell a newly admitted connection what its user has missed."""

import asyncio
from datetime import datetime

from functions.calls.call import ConnectionId
from functions.calls.event import LONGEST_LIFE
from functions.ports.publisher import Publisher, PublishFailed
from functions.published import ConnectionAdmitted, Published
from functions.telemetry import Log

_ASKED_SECONDS = 1.0  # the client waits for the publish, and Python's gives up after 5 s

log = Log(__name__)


def admitted(id: ConnectionId, now: datetime) -> ConnectionAdmitted:
    """The event that asks for the catch-up."""
    return ConnectionAdmitted(connection_id=id, expires_at=now + LONGEST_LIFE)


async def publish_admitted(publisher: Publisher, id: ConnectionId, now: datetime) -> None:
    """Costs 1 Publish. A client that connects must not wait long for it, nor be refused because of
    it, so a failure is only logged."""
    if error := await not_published(publisher, admitted(id, now)):
        log.error("catch-up not asked for", error=repr(error))


async def not_published(publisher: Publisher, event: Published) -> Exception | None:
    """Publishes what API Gateway must not wait long for, and gives what was wrong, if anything."""
    try:
        async with asyncio.timeout(_ASKED_SECONDS):
            await publisher.publish(event)
    except (PublishFailed, TimeoutError) as error:
        return error
    return None
