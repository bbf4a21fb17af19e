"""Whose a client's token is, and whether that is who the client says it is."""

from functions.calls.call import UserId
from functions.ports.identity import Identity, NotAuthenticated


async def verified(identity: Identity, token: str | None, *claimed: str | None) -> UserId:
    """Raises NotAuthenticated and IdentityUnavailable."""
    if token is None:
        raise NotAuthenticated("the token is missing")
    user = await identity.verify(token)
    check_claims(user, *claimed)
    return user


def check_claims(user: UserId, *claimed: str | None) -> None:
    """Raises NotAuthenticated if the client said that it was somebody else."""
    if any(name not in (None, user) for name in claimed):
        raise NotAuthenticated("userId is not the token's")
