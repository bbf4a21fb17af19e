"""Posts to connections, all at once and each on its wire, and reports who has it."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from functions.calls.event import CallEvent
from functions.clients.connection import Connection
from functions.delivery.elsewhere import is_told
from functions.ports.sockets import Gone, PostFailed, Refused, Sockets
from functions.telemetry import Log
from functions.wire.codecs import Codecs

log = Log(__name__)


@dataclass(slots=True)
class Report:
    """The connections, by what became of their frames."""

    served: list[Connection] = field(default_factory=list)
    gone: list[Connection] = field(default_factory=list)  # or not open yet
    refused: list[Connection] = field(default_factory=list)  # trying again would not help
    failed: list[Connection] = field(default_factory=list)  # or not done in time

    def dead(self, now: datetime) -> list[Connection]:
        """Those of `gone` whose sockets are closed, rather than not open yet."""
        return [found for found in self.gone if found.is_dead(now)]


async def notify(
    sockets: Sockets,
    codecs: Codecs,
    connections: Iterable[Connection],
    event: CallEvent,
    within: timedelta | None = None,
) -> Report:
    """Tells the event to those of the connections that are its recipients'. Costs 1 POST for each,
    all at once. Those not done `within` count as failed."""
    frames = [
        (connection, codecs.event_for(connection, event, recipient))
        for connection in connections
        # Else it is no recipient's any more, or is for another call, or he acted there.
        if (recipient := event.recipient(connection.user))
        and connection.hears_of(event.call_id)
        and is_told(event, recipient, connection)
    ]
    return await post(sockets, frames, within)


async def post(
    sockets: Sockets,
    frames: Iterable[tuple[Connection, str]],
    within: timedelta | None = None,
) -> Report:
    """Posts a frame to each connection, at the same cost."""
    report = Report()
    posts: dict[asyncio.Task[None], Connection] = {}
    for connection, text in frames:
        if not connection.is_open:
            report.gone.append(connection)  # until it is open the client would drop the frame
            continue
        posts[asyncio.create_task(sockets.post(connection.id, text))] = connection
    if not posts:
        return report
    try:
        done, _ = await asyncio.wait(posts, timeout=within.total_seconds() if within else None)
    finally:
        for post in posts:
            post.cancel()  # this does nothing to a post that is done
    for post, connection in posts.items():
        if post in done:
            _sort(post, connection, report)
        else:
            report.failed.append(connection)
    return report


def _sort(post: asyncio.Task[None], connection: Connection, report: Report) -> None:
    try:
        post.result()
    except Gone:
        report.gone.append(connection)
    except Refused as error:
        log.error("post refused", to=connection.id, error=str(error))
        report.refused.append(connection)
    except PostFailed as error:
        log.warning("post failed", to=connection.id, status=error.status, error=str(error))
        report.failed.append(connection)
    except Exception:  # one socket's trouble must not keep the event from the others
        log.exception("post failed", to=connection.id)
        report.failed.append(connection)
    else:
        report.served.append(connection)
