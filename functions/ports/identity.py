"""The port to the service that verifies tokens."""

from dataclasses import dataclass
from typing import Protocol

from functions.calls.call import UserId
from functions.clients.profile import NO_PROFILE, Profile


class NotAuthenticated(Exception):
    """The token is missing, expired, forged or another project's; the message is for the client."""


class IdentityUnavailable(Exception):
    """No token can be judged at the moment; trying again may help."""


@dataclass(frozen=True, slots=True)
class Identified:
    """A user, and what his token says of him beside his id."""

    user: UserId
    profile: Profile = NO_PROFILE


class Identity(Protocol):
    """Verifies tokens. `warm_up` fetches what the first `verify` would have to wait for."""

    async def verify(self, token: str) -> Identified:
        """The user whose token this is. Nobody is refused for what his profile is like. Raises
        NotAuthenticated and IdentityUnavailable."""

    async def warm_up(self) -> None: ...
