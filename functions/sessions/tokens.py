"""Verifies a client's token, and that its user is who the client says it is."""

from functions.calls.call import UserId
from functions.clients.ringtoken import is_ring_token
from functions.ports.identity import Identified, Identity, NotAuthenticated

_LONGEST = 16 * 1024  # characters: to look at more would hold up others, and no token has them


async def verified(identity: Identity, token: str | None, *said: str | None) -> Identified:
    """The user whose `token` this is. Raises NotAuthenticated and IdentityUnavailable."""
    if token is None:
        raise NotAuthenticated("the token is missing")
    # Some clients write it as they would in a header, wherever it stands.
    scheme, _, rest = token.partition(" ")
    shown = rest.strip() if scheme.lower() == "bearer" else token
    if not shown:
        raise NotAuthenticated("the token is missing")
    if len(shown) > _LONGEST:
        raise NotAuthenticated("the token is too long")
    if is_ring_token(shown):  # no provider is ever shown one
        raise NotAuthenticated("a ring token is good for its call alone")
    identified = await identity.verify(shown)
    check_said(identified.user, *said)
    return identified


def check_said(user: UserId, *said: str | None) -> None:
    """Raises NotAuthenticated if the client said that it was somebody else than `user`."""
    if any(name not in (None, user) for name in said):
        raise NotAuthenticated("userId is not the token's")
