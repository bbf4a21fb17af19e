"""Which of a socket's packets came first.

The packets of one socket may be handled in another order than they were sent in. The time when API
Gateway got each of them (`received_at`, None if unknown) tells the order.
"""

from datetime import datetime

from functions.clients.connection import Connection
from functions.wire import socketio

TRIES = 4  # a connection changes a few times as it begins, and at its end


def connect_is_outdated(
    connection: Connection, namespace: str, received_at: datetime | None
) -> bool:
    """Whether a CONNECT to `namespace`, got at `received_at`, is outdated: the client left, or sent
    another one to it since. A client that has left may come back on the same socket, by a later
    CONNECT. What it sent to another namespace outdates nothing here."""
    if connection.closed_at and connection.left_at is None:
        return True  # the socket itself is closed
    if received_at is None:
        return False
    if connection.admit_by and namespace != connection.namespace:
        return False  # the client is out, if at all, because another namespace refused it
    if connection.left_at and received_at <= connection.left_at:
        return True
    return is_later(connection.entered_at(namespace), received_at)


def goodbye_is_outdated(
    connection: Connection, namespace: str, received_at: datetime | None
) -> bool:
    """Whether a goodbye to `namespace`, got at `received_at`, is outdated: the client came back, or
    had left."""
    if is_later(connection.entered_at(namespace), received_at):
        return True
    return connection.left_at is not None and not is_later(connection.left_at, received_at)


def is_later(one: datetime | None, other: datetime | None) -> bool:
    """Whether `one` is known to be later than `other`."""
    return one is not None and other is not None and one > other


def reply_in_order(received_at: datetime | None, other: datetime | None) -> str:
    """The reply to a CONNECT (or goodbye), got at `received_at`, once a goodbye (or CONNECT), got
    at `other`, may have overtaken it.

    If both came in the same millisecond, nobody knows which was first. Then RECONNECT has a client
    that has come back connect anew, while one that has left stays away.
    """
    is_same = received_at is not None and received_at == other
    return socketio.RECONNECT if is_same else socketio.NOOP
