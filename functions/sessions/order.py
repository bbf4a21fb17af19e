"""Which packet of a socket came first.

Packets of one socket may be handled in another order than they were sent in. When API Gateway got
them (`requested`) tells, where it is known.
"""

from datetime import datetime

from functions.clients.connection import Connection
from functions.wire import socketio


def is_outdated(connection: Connection, requested: datetime | None) -> bool:
    """Whether the client left, or connected again, after a CONNECT that is handled only now. A
    client that has left may come back on the same socket."""
    if connection.closed_at and connection.left_at is None:
        return True  # the socket itself is closed
    if requested is None:
        return False
    if connection.left_at and requested <= connection.left_at:
        return True
    return is_later(connection.admitted_at, requested)


def is_over(connection: Connection, requested: datetime | None) -> bool:
    """Whether a goodbye has nothing to end: the client came back since, or had said it before."""
    if is_later(connection.admitted_at, requested):
        return True
    return connection.left_at is not None and not is_later(connection.left_at, requested)


def is_later(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and one > other


def reply_to_outdated(requested: datetime | None, other: datetime | None) -> str:
    """The packet for a CONNECT or a goodbye that another has overtaken. Of two in the same
    millisecond nobody knows which came first: a client that has come back connects anew, and one
    that has left stays away."""
    is_same = requested is not None and requested == other
    return socketio.RECONNECT if is_same else socketio.NOOP
