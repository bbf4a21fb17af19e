"""Which of a socket's packets came first.

The packets of one socket may be handled in another order than they were sent in. The time when API
Gateway got each of them (`requested`, None if unknown) tells the order.
"""

from datetime import datetime

from functions.clients.connection import Connection
from functions.wire import socketio


def is_outdated(connection: Connection, requested: datetime | None) -> bool:
    """Whether a CONNECT, got at `requested`, is outdated: the client left or sent another since. A
    client that has left may come back on the same socket, by a later CONNECT."""
    if connection.closed_at and connection.left_at is None:
        return True  # the socket itself is closed
    if requested is None:
        return False
    if connection.left_at and requested <= connection.left_at:
        return True
    return is_later(connection.admitted_at, requested)


def is_over(connection: Connection, requested: datetime | None) -> bool:
    """Whether a goodbye, got at `requested`, ends nothing: the client came back, or had left."""
    if is_later(connection.admitted_at, requested):
        return True
    return connection.left_at is not None and not is_later(connection.left_at, requested)


def is_later(one: datetime | None, other: datetime | None) -> bool:
    """Whether `one` is known to be later than `other`."""
    return one is not None and other is not None and one > other


def reply_to_outdated(requested: datetime | None, other: datetime | None) -> str:
    """The reply to a CONNECT (or goodbye), got at `requested`, once a goodbye (or CONNECT), got at
    `other`, may have overtaken it.

    If both came in the same millisecond, nobody knows which was first. Then RECONNECT has a client
    that has come back connect anew, while one that has left stays away.
    """
    is_same = requested is not None and requested == other
    return socketio.RECONNECT if is_same else socketio.NOOP
