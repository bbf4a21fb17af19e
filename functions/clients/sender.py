"""The sender of a frame, judged by its connection and by the time when API Gateway got it."""

from datetime import datetime

from functions.calls.call import UserId
from functions.calls.decision import NOT_AUTHENTICATED, UNKNOWN_CONNECTION, Verdict
from functions.clients.connection import Connection


def sender_of(connection: Connection | None, received_at: datetime | None) -> UserId | Verdict:
    """The sender of a frame that API Gateway got at `received_at` by `connection`, or the verdict
    if the frame is nobody's."""
    if connection is None:
        return UNKNOWN_CONNECTION
    return connection.sender(received_at) or NOT_AUTHENTICATED
