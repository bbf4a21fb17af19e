"""Tells connections of an event: all at once, each in its own wire, and who has it by when."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from functions.calls.event import CallEvent
from functions.services.apigateway import Gone, PostFailed, Sockets
from functions.services.documents import Connection
from functions.telemetry import Log
from functions.wire import json
from functions.wire.frames import Wire

log = Log(__name__)


@dataclass(slots=True)
class Report:
    """What became of each connection's frame."""

    served: list[Connection] = field(default_factory=list)
    gone: list[Connection] = field(default_factory=list)
    failed: list[Connection] = field(default_factory=list)  # or not known to be served in time


async def notify(
    sockets: Sockets,
    connections: Iterable[Connection],
    event: CallEvent,
    within: timedelta | None = None,
) -> Report:
    """1 POST for each connection, all at the same time; those not done `within` are given up."""
    report = Report()
    posts = {
        asyncio.create_task(
            sockets.post(connection.id, _encode(connection.wire, event))
        ): connection
        for connection in connections
    }
    if not posts:
        return report
    done, late = await asyncio.wait(
        posts, timeout=within.total_seconds() if within is not None else None
    )
    for post in late:
        post.cancel()
        report.failed.append(posts[post])
    for post in done:
        _sort(post, posts[post], report)
    return report


def _encode(wire: Wire, event: CallEvent) -> str:
    match wire:
        case Wire.JSON:
            return json.encode_event(event)


def _sort(post: asyncio.Task[None], connection: Connection, report: Report) -> None:
    try:
        post.result()
    except Gone:
        report.gone.append(connection)
    except PostFailed as error:
        log.warning("post failed", connection=connection.id, status=error.status, error=str(error))
        report.failed.append(connection)
    else:
        report.served.append(connection)
