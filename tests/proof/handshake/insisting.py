"""An app that says again what it has had no answer to, each time that its client has come back.

A client that was disconnected may have lost what it had sent, as it does with any server. One with
the option `retries` says it again by itself, so its app says everything once.
"""

import asyncio
from contextlib import suppress
from typing import Any

from socketio.exceptions import BadNamespaceError

from tests.support.socketio import SocketIoApp

_PAUSE_SECONDS = 1.0


async def insist(
    app: SocketIoApp, event: str, *, ack: int | None = None, repeats: bool = True, **data: object
) -> dict[str, Any]:
    """The verdict on an event; `ack` is that of the one which the client has been told before it
    was connected. Raises AssertionError."""
    acks = [] if ack is None else [ack]
    said_in = 1 if acks else 0  # in which of the client's connections, the first of which is 1
    while True:
        known = len(app.reports)
        if verdict := _verdict(app, acks):
            if verdict["outcome"] != "unavailable":
                return verdict
            acks.clear()  # a busy machine has not done it, and says so
            await asyncio.sleep(_PAUSE_SECONDS)
        connections = app.count("connected")
        if is_connected(app) and (not acks or (repeats and connections > said_in)):
            with suppress(BadNamespaceError):  # python's client has just been disconnected
                acks.append(await app.begin_emit(event, **data))
                said_in = connections
        await app.more_than(known)


def is_connected(app: SocketIoApp) -> bool:
    """Whether that is the last that the client has said of it."""
    said = [each.what for each in app.reports if each.what in ("connected", "disconnected")]
    return said[-1:] == ["connected"]


def _verdict(app: SocketIoApp, acks: list[int]) -> dict[str, Any] | None:
    """With `retries`, a callback is given an error before the verdict, or alone."""
    for report in app.reports:
        if report.ack in acks and report.detail and "outcome" in (said := report.detail[-1]):
            return dict(said)
    return None
