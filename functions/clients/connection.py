"""One client's socket, as its document has it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from functions.calls.call import ConnectionId, UserId

# Until `$connect` has been answered, for which there are 29 s, a living connection answers 410.
_HANDSHAKE = timedelta(seconds=30)


class Wire(StrEnum):
    """How a connection's frames are written."""

    JSON = "json"
    EIO3 = "eio3"  # Socket.IO v2: Engine.IO protocol 3
    EIO4 = "eio4"  # Socket.IO v3 and v4: Engine.IO protocol 4


@dataclass(frozen=True, slots=True)
class Connection:
    """Whose frames come by a connection, and who is told by it, are two questions: a client that
    has said goodbye is told nothing more, but what it sent before still counts."""

    id: ConnectionId
    user: UserId | None  # who is told; None until a Socket.IO client was admitted, or once it left
    wire: Wire
    connected_at: datetime
    expires_at: datetime
    is_open: bool = True  # False until a Socket.IO client has been posted its open packet
    # What a Socket.IO client's handshake showed: whose token, whose it was said to be, and why it
    # won't do. It counts once the client asks to be admitted.
    shown_user: UserId | None = None
    claimed_user: str | None = None
    refusal: str | None = None
    owner: UserId | None = None  # who sends; None until a Socket.IO client was admitted
    former_owner: UserId | None = None  # who sent before the client was admitted again
    admitted_at: datetime | None = None  # when API Gateway got the CONNECT that admitted it
    closed_at: datetime | None = None  # since when nobody is told by it
    left_at: datetime | None = None  # when API Gateway got the packet by which it said goodbye
    version: datetime | None = field(default=None, compare=False)  # as it was read

    def sender(self, requested: datetime | None) -> UserId | None:
        """Whose a frame is that API Gateway got at `requested`; None: nobody's.

        A goodbye, and an admission, may be handled before a frame that was sent earlier, so the
        times decide. Where either is missing the frame counts, as it does after `$disconnect`, past
        which nobody sends.
        """
        if self.admitted_at and requested and requested < self.admitted_at:
            return self.former_owner
        if self.left_at and requested and requested > self.left_at:
            return None
        return self.owner

    def is_dead(self, now: datetime) -> bool:
        """Whether a 410 means that the socket is closed, and not that it is not open yet."""
        return now - self.connected_at > _HANDSHAKE
