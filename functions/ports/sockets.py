"""The port to the clients' open sockets."""

from typing import Protocol

from functions.calls.call import ConnectionId


class Gone(Exception):
    """The socket is closed, or its handshake has not been answered yet."""


class Refused(Exception):
    """The service will never take this frame for this connection."""


class PostFailed(Exception):
    """The frame may not have arrived, or the socket not be closed; trying again may help. `status`
    is None without a reply."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


class Sockets(Protocol):
    """The clients' open sockets.

    `warm_up` does what the first `post` would have to wait for, and raises PostFailed.
    """

    async def post(self, to: ConnectionId, text: str) -> None:
        """Sends one text frame of at most 128 KB. Raises Gone, Refused and PostFailed."""

    async def close(self, to: ConnectionId) -> None:
        """Closes the socket; the client sees it end. Raises Gone and PostFailed."""

    async def warm_up(self) -> None: ...
