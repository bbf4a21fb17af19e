"""The app's own JSON Web Tokens, signed with a secret that it shares with us (HS256).

Whoever has the secret can sign in as anybody, and any token that was ever signed with it is a
sign-in, also one that was meant for something else: use an issuer and an audience.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from time import time
from typing import Any

from functions.ports.identity import Identified, NotAuthenticated
from functions.services.identity.choice import EXPIRED, NOT_VALID, Provider, Unverified
from functions.services.identity.claims import identified_at
from functions.services.identity.jose import check_not_early, claims_of, seconds_of
from functions.settings import IdentitySettings

_ALGORITHM = "HS256"


class SecretIdentity:
    """Verifies tokens by one of two secrets."""

    def __init__(
        self,
        secrets: Sequence[str],
        user_claim: str,
        name_claim: str,
        *,
        issuer: str | None,
        audience: str | None,
        max_age: timedelta | None,
    ) -> None:
        """With `max_age`, a token needs no `exp`, but an `iat` that is no older."""
        self._secrets = secrets
        self._user_claim = user_claim
        self._name_claim = name_claim
        self._issuer = issuer
        self._audience = audience
        self._max_age = max_age

    async def verify(self, token: str) -> Identified:
        """Costs nothing."""
        claims = self._claims(token)
        now = time()
        check_not_early(claims, now)
        if self._max_age and now - seconds_of(claims["iat"]) > self._max_age.total_seconds():
            raise NotAuthenticated(EXPIRED)
        identified = identified_at(claims, self._user_claim, self._name_claim)
        if identified is None:
            raise NotAuthenticated(NOT_VALID)
        return identified

    def _claims(self, token: str) -> Mapping[str, Any]:
        required = ("exp",) if self._max_age is None else ("iat",)
        failure = NotAuthenticated(NOT_VALID)
        for secret in self._secrets:
            try:
                return claims_of(
                    token,
                    secret,
                    [_ALGORITHM],
                    issuer=self._issuer,
                    audience=self._audience,
                    required=required,
                )
            except NotAuthenticated as error:
                # That it has expired is known only once its signature was found right.
                failure = error if str(error) == EXPIRED else failure
        raise failure

    async def warm_up(self) -> None:
        """There is nothing to fetch."""


def provider(settings: IdentitySettings) -> Provider:
    def owns(said: Unverified | None) -> bool:
        if said is None or said.algorithm != _ALGORITHM:
            return False
        return settings.token_issuer in (None, said.issuer)

    secrets = [each for each in (settings.token_secret, settings.token_secret_previous) if each]
    identity = SecretIdentity(
        secrets,
        settings.token_user_claim,
        settings.token_name_claim,
        issuer=settings.token_issuer,
        audience=settings.token_audience,
        max_age=settings.token_max_age,
    )
    return Provider(identity, owns)
