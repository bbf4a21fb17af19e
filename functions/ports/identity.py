"""Whose a token is."""

from typing import Protocol

from functions.calls.call import UserId


class NotAuthenticated(Exception):
    """The token is missing, expired, forged or not for us; the message is for the client."""


class IdentityUnavailable(Exception):
    """Nobody can judge a token at the moment."""


class Identity(Protocol):
    async def verify(self, token: str) -> UserId:
        """The user whose token this is. Raises NotAuthenticated and IdentityUnavailable."""

    async def warm_up(self) -> None: ...
