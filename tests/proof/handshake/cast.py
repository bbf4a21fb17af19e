"""Who and what one case is about."""

import uuid

CANCELLED, INCOMING = "call:cancelled", "call:incoming"

Told = tuple[str, str]  # an event, and of which call


class Cast:
    """Who and what one case is about; no other case knows any of it."""

    def __init__(self) -> None:
        unique = uuid.uuid4().hex[:12]
        self.user, self.peer = f"USR_{unique}", f"PEER_{unique}"
        # The client cancels the first, and initiates the second and cancels it later; the peer
        # cancels the third while the client waits at its step, and the fourth in the end.
        self.ringing, self.begun, self.lost, self.later = (
            f"{what}_{unique}" for what in ("RINGING", "BEGUN", "LOST", "LATER")
        )

    @property
    def calls(self) -> tuple[str, ...]:
        return self.ringing, self.begun, self.lost, self.later

    @property
    def clients(self) -> frozenset[Told]:
        """What the client is to be told."""
        return frozenset({(CANCELLED, self.lost), (CANCELLED, self.later)})

    @property
    def peers(self) -> frozenset[Told]:
        """What the peer is to be told."""
        return frozenset(
            {(CANCELLED, self.ringing), (INCOMING, self.begun), (CANCELLED, self.begun)}
        )
