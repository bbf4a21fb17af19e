"""Tells connections of an event: all at once, each in its own wire, and who has it by when."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from functions.calls.event import CallEvent
from functions.clients.connection import Connection
from functions.ports.sockets import Gone, PostFailed, Refused, Sockets
from functions.telemetry import Log
from functions.wire.codecs import codec_for

log = Log(__name__)


@dataclass(slots=True)
class Report:
    """What became of each connection's frame."""

    served: list[Connection] = field(default_factory=list)
    gone: list[Connection] = field(default_factory=list)  # or not open yet
    refused: list[Connection] = field(default_factory=list)  # trying again would not help
    failed: list[Connection] = field(default_factory=list)  # or not known to be served in time

    def dead(self, now: datetime) -> list[Connection]:
        """Those of `gone` that nothing will open any more."""
        return [found for found in self.gone if found.is_dead(now)]


async def notify(
    sockets: Sockets,
    connections: Iterable[Connection],
    event: CallEvent,
    within: timedelta | None = None,
) -> Report:
    """1 POST for each connection, all at the same time; those not done `within` are given up."""
    report = Report()
    posts: dict[asyncio.Task[None], Connection] = {}
    for connection in connections:
        recipient = event.recipient(connection.user)
        if recipient is None:
            continue  # it has changed hands since it was looked up
        if not connection.is_open:
            report.gone.append(connection)  # for now: its client would drop the frame
            continue
        text = codec_for(connection.wire).encode_event(event, recipient)
        posts[asyncio.create_task(sockets.post(connection.id, text))] = connection
    if not posts:
        return report
    try:
        done, _ = await asyncio.wait(posts, timeout=within.total_seconds() if within else None)
    finally:
        for post in posts:
            post.cancel()  # which does nothing to those that are done
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
