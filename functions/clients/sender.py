"""The sender of a frame, judged by its connection and by the time when API Gateway got it."""

from dataclasses import replace
from datetime import datetime

from functions.calls.call import UserId
from functions.calls.decision import (
    FORBIDDEN,
    NOT_AUTHENTICATED,
    UNKNOWN_CONNECTION,
    Verdict,
)
from functions.calls.transitions import Signal
from functions.clients.connection import Connection

_OF_ONE_CALL = replace(
    FORBIDDEN, field="connection", message="a ring token may only reject its call"
)
_OF_WOKEN_PHONE = "call:reject"  # all that it is good for, beside hearing of its call


def sender_of(
    connection: Connection | None, received_at: datetime | None, signal: Signal | None = None
) -> UserId | Verdict:
    """The sender of a frame that API Gateway got at `received_at` by `connection`, or the verdict
    if the frame is nobody's, or may not be sent by this connection. Of a frame that asks something
    of a call, `signal` says what. Raises NotUpgraded."""
    if connection is None:
        return UNKNOWN_CONNECTION
    connection.check_upgraded()
    sender = connection.sender(received_at)
    if sender and connection.only_call and not _is_allowed(signal, connection):
        return _OF_ONE_CALL
    return sender or NOT_AUTHENTICATED


def _is_allowed(signal: Signal | None, connection: Connection) -> bool:
    if signal is None:
        return False
    return signal.name == _OF_WOKEN_PHONE and signal.call_id == connection.only_call
