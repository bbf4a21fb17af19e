"""The port to the service that verifies tokens."""

from typing import Protocol

from functions.calls.call import UserId


class NotAuthenticated(Exception):
    """The token is missing, expired, forged or another project's; the message is for the client."""


class IdentityUnavailable(Exception):
    """No token can be judged at the moment; trying again may help."""


class Identity(Protocol):
    """Verifies tokens. `warm_up` fetches what the first `verify` would have to wait for."""

    async def verify(self, token: str) -> UserId:
        """The user whose token this is. Raises NotAuthenticated and IdentityUnavailable."""

    async def warm_up(self) -> None: ...
