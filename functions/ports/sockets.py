"""The clients' open sockets."""

from typing import Protocol

from functions.calls.call import ConnectionId


class Gone(Exception):
    """The socket is closed, or its handshake has not been answered yet."""


class Refused(Exception):
    """This frame will never be taken for this connection."""


class PostFailed(Exception):
    """The frame may not have arrived; trying again may help. `status` is None without an answer."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


class Sockets(Protocol):
    """The clients' open sockets."""

    async def post(self, connection: ConnectionId, text: str) -> None:
        """Sends one text frame, at most 128 KB. Raises Gone, Refused and PostFailed."""

    async def warm_up(self) -> None: ...
