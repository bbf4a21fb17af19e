"""Who and what one case is about."""

import uuid
from dataclasses import dataclass, field

from functions.clients.device import FcmToken, device_id


@dataclass(eq=False)
class Cast:
    """Who and what one case is about; no other case knows any of it."""

    unique: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    calls: tuple[str, ...] = ()
    told_connections: list[str] = field(default_factory=list)  # ids, once the phones are connected
    sender_connections: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.calls = (f"CALL_{self.unique}",)

    def add_call(self) -> None:
        self.calls = (*self.calls, f"NEXT_{self.unique}")

    @property
    def call(self) -> str:
        return self.calls[0]

    @property
    def sender(self) -> str:
        return f"USR_SENDER_{self.unique}"

    @property
    def told(self) -> str:
        return f"USR_TOLD_{self.unique}"

    @property
    def tokens(self) -> tuple[str, str]:
        """Of the told user's devices."""
        return f"first-{self.unique}", f"second-{self.unique}"

    @property
    def sender_token(self) -> str:
        return f"sender-{self.unique}"

    @property
    def third_token(self) -> str:
        """Of another device of the told user's, where there is one."""
        return f"third-{self.unique}"

    def device(self, number: int) -> str:
        return self.devices[number]

    @property
    def devices(self) -> list[str]:
        """The ids of the told user's devices, and of the sender's."""
        tokens = (*self.tokens, self.sender_token, self.third_token)
        return [device_id(FcmToken(token)) for token in tokens]

    def connection(self, number: int) -> str:
        """The id of a connection of the told user's, as it stands in every URL and document."""
        return self.told_connections[number].rstrip("=")

    @property
    def sender_connection(self) -> str:
        """The id of the sender's connection, likewise."""
        return self.sender_connections[0].rstrip("=")
