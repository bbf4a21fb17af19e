"""Who says whose a token is, where the stack's settings ask for more than Firebase."""

import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

import jwt

from infra.emulators.auth.oidc import OidcIssuer
from infra.emulators.auth.opaque import OpaqueTokens
from infra.emulators.auth.tokens import LIFETIME_SECONDS

AUDIENCE = "unring-local"
# Whoever reads this may sign in on a local stack, as by the unsigned tokens of Firebase's emulator.
SECRET = "the secret of the local stack, which is none"  # noqa: S105


@dataclass(frozen=True)
class Identities:
    """Those that the stack plays itself. `settings` make the functions ask them."""

    oidc: OidcIssuer | None = None
    opaque: OpaqueTokens | None = None
    signs: bool = False  # with SECRET

    def settings(self) -> dict[str, str]:
        found: dict[str, str] = {}
        if self.oidc:
            found |= {"OIDC_ISSUER": self.oidc.url, "OIDC_AUDIENCE": AUDIENCE}
        if self.opaque:
            found |= {"INTROSPECTION_URL": self.opaque.url, "INTROSPECTION_USER": "/data/id"}
            found |= {"INTROSPECTION_NAME": "/data/name"}
        if self.signs:
            found |= {"TOKEN_SECRET": SECRET}
        return found

    def addresses(self) -> dict[str, str]:
        """Where other programs get tokens: a user's id after one of these makes a URL."""
        oidc = {"oidc_tokens": self.oidc.tokens_url} if self.oidc else {}
        opaque = {"opaque_tokens": self.opaque.tokens_url} if self.opaque else {}
        return {**oidc, **opaque}


async def identities(parts: AsyncExitStack, settings: Mapping[str, str]) -> Identities:
    """Starts what `settings` choose (IDENTITY) and do not name."""
    asked = {name.strip() for name in settings.get("IDENTITY", "").split(",")}
    oidc = opaque = None
    if "oidc" in asked and "OIDC_ISSUER" not in settings:
        oidc = await parts.enter_async_context(OidcIssuer(AUDIENCE))
    if "introspection" in asked and "INTROSPECTION_URL" not in settings:
        opaque = await parts.enter_async_context(OpaqueTokens())
    signs = "secret" in asked and "TOKEN_SECRET" not in settings
    return Identities(oidc, opaque, signs)


def signed_token(user: str) -> str:
    """What an app's own backend would sign with SECRET."""
    expires = int(time.time()) + LIFETIME_SECONDS
    return jwt.encode({"sub": user, "name": f"User {user}", "exp": expires}, SECRET)
