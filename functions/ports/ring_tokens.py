"""The port to what signs and verifies ring tokens."""

from datetime import datetime
from typing import Protocol

from functions.clients.ringtoken import RingToken


class RingTokens(Protocol):
    """Signs and verifies ring tokens. `warm_up` does what the first `sign` would have to wait
    for."""

    def sign(self, token: RingToken, now: datetime) -> str | None:
        """The token as its holder shows it; None where no secret is set to sign it with."""

    def verify(self, text: str) -> RingToken:
        """What a token says that is not older than it may be. Raises NotAuthenticated."""

    async def warm_up(self) -> None: ...
