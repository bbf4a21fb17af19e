"""Firebase Authentication: verifies ID tokens."""

import asyncio
import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import firebase_admin
from firebase_admin import _token_gen, auth, credentials
from google.auth.credentials import AnonymousCredentials

from functions.calls.call import UserId
from functions.ports.identity import IdentityUnavailable, NotAuthenticated
from functions.settings import IdentitySettings

_CLOCK_SKEW_SECONDS = 10  # by which a token may seem to come from the future
_TIMEOUT_SECONDS = 5.0  # to fetch Google's public keys, which are then kept for hours


class FirebaseIdentity:
    """Verifies the ID tokens of one Firebase project."""

    def __init__(self, app: firebase_admin.App) -> None:
        self._project = app.project_id
        self._client = auth.Client(app)

    async def verify(self, token: str) -> UserId:
        """1 GET if Google's public keys must be fetched again, else nothing."""
        claims = await self._claims(token)
        # The SDK checks the expiry only if it checks the signature, so not in its emulator mode.
        expires = claims.get("exp")
        if not isinstance(expires, int) or expires <= datetime.now(UTC).timestamp():
            raise NotAuthenticated("the token has expired")
        return UserId(claims["uid"])

    async def warm_up(self) -> None:
        """1 GET: fetches Google's public keys, by verifying a token that nobody signed."""
        issuer = f"https://securetoken.google.com/{self._project}"
        header = {"alg": "RS256", "kid": "warm-up"}
        claims = {"aud": self._project, "iss": issuer, "sub": "warm-up"}
        with suppress(NotAuthenticated):
            await self._claims(f"{_part(header)}.{_part(claims)}.AA")

    async def _claims(self, token: str) -> Mapping[str, Any]:
        try:
            # In a thread, as the SDK blocks while it fetches the keys.
            claims: Mapping[str, Any] = await asyncio.to_thread(
                self._client.verify_id_token, token, clock_skew_seconds=_CLOCK_SKEW_SECONDS
            )
            return claims
        except auth.CertificateFetchError as error:
            raise IdentityUnavailable(str(error)) from error
        except auth.ExpiredIdTokenError as error:
            raise NotAuthenticated("the token has expired") from error
        except (auth.InvalidIdTokenError, ValueError, RecursionError) as error:
            # The SDK's own message quotes the token, so it is not passed on.
            raise NotAuthenticated("the token is not valid") from error


def connect(settings: IdentitySettings) -> FirebaseIdentity:
    """The verifier of the project's ID tokens."""
    if settings.id_token_keys_url:
        # The SDK offers no other way to set the address of the keys.
        _token_gen.ID_TOKEN_CERT_URI = settings.id_token_keys_url
    app = firebase_admin.initialize_app(
        _NoCredential(),
        {"projectId": settings.project, "httpTimeout": _TIMEOUT_SECONDS},
        name=f"identity-{uuid4()}",  # no two apps of a process may share a name
    )
    return FirebaseIdentity(app)


class _NoCredential(credentials.Base):  # type: ignore[misc]
    """No credential: to verify a token takes Google's public keys and nothing secret."""

    def get_credential(self) -> AnonymousCredentials:
        return AnonymousCredentials()  # type: ignore[no-untyped-call]


def _part(content: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
