"""Tokens by which the page's phones come in."""

from infra.local.identities import signed_token
from infra.local.stack import Stack


def token_of(stack: Stack, user: str) -> str | None:
    """A token of `user` that `stack` takes, by the first of its identities that is played here;
    None if all are others'."""
    played = stack.identities
    for identity in stack.values.get("IDENTITY", "firebase").split(","):
        match identity.strip():
            case "firebase":
                return stack.token(user)
            case "oidc" if played.oidc:
                return played.oidc.sign(user)
            case "introspection" if played.opaque:
                return played.opaque.issue(user)
            case "secret" if played.signs:
                return signed_token(user)
    return None
