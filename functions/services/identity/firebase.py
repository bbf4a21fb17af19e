"""Firebase Authentication: verifies ID tokens."""

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from threading import Lock
from typing import Any
from uuid import uuid4

import firebase_admin
from firebase_admin import _token_gen, auth, credentials
from google.auth.credentials import AnonymousCredentials

from functions.calls.call import UserId
from functions.clients.profile import Profile
from functions.ports.identity import Identified, IdentityUnavailable, NotAuthenticated
from functions.services.identity.choice import (
    CLOCK_SKEW_SECONDS,
    EXPIRED,
    NOT_VALID,
    TOO_EARLY,
    Provider,
    Unverified,
)
from functions.settings import IdentitySettings

_TIMEOUT_SECONDS = 5.0  # to fetch Google's public keys, which are then kept for hours
# As many as an instance has requests at once: while keys are fetched, none waits for a thread.
_THREADS = 100


class FirebaseIdentity:
    """Verifies the ID tokens of one Firebase project."""

    def __init__(self, app: firebase_admin.App) -> None:
        self._project = app.project_id
        self._client = auth.Client(app)
        # The SDK has no public setting for how it fetches the keys.
        self._client._token_verifier.request = OneAtATime(self._client._token_verifier.request)
        # A key server that hangs must not hold up what else the process does in threads.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="identity")

    async def verify(self, token: str) -> Identified:
        """1 GET if Google's public keys must be fetched again, else nothing."""
        claims = await self._claims(token)
        # The SDK checks the expiry only if it checks the signature, so not in its emulator mode.
        expires = claims.get("exp")
        if not isinstance(expires, int) or expires <= datetime.now(UTC).timestamp():
            raise NotAuthenticated(EXPIRED)
        return Identified(UserId(claims["uid"]), Profile.of(claims.get("name")))

    async def warm_up(self) -> None:
        """1 GET: fetches Google's public keys, by verifying a token that nobody signed."""
        issuer = f"https://securetoken.google.com/{self._project}"
        header = {"alg": "RS256", "kid": "warm-up"}
        claims = {"aud": self._project, "iss": issuer, "sub": "warm-up"}
        with suppress(NotAuthenticated):
            await self._claims(f"{_part(header)}.{_part(claims)}.AA")

    async def _claims(self, token: str) -> Mapping[str, Any]:
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, self._verify, token
            )
        except auth.CertificateFetchError as error:
            raise IdentityUnavailable(str(error)) from error
        except auth.ExpiredIdTokenError as error:
            raise NotAuthenticated(EXPIRED) from error
        # The last ones come of claims whose types the SDK does not check.
        except (
            *(auth.InvalidIdTokenError, ValueError, RecursionError),
            *(TypeError, ArithmeticError),
        ) as error:
            # The SDK's own message quotes the token, so it is not passed on.
            is_early = "used too early" in str(error)
            raise NotAuthenticated(TOO_EARLY if is_early else NOT_VALID) from error

    def _verify(self, token: str) -> Mapping[str, Any]:
        """Blocks while the SDK fetches the keys."""
        claims: Mapping[str, Any] = self._client.verify_id_token(
            token, clock_skew_seconds=CLOCK_SKEW_SECONDS
        )
        return claims


class OneAtATime:
    """Fetches a URL for all threads that ask for it meanwhile, and gives all of them what comes of
    it, be it a failure: one after the other, each would wait for a server that hangs."""

    def __init__(self, fetch: Callable[..., Any]) -> None:
        self._fetch = fetch
        self._lock = Lock()
        self._under_way: dict[str, Future[Any]] = {}

    def __call__(self, url: str, **arguments: Any) -> Any:
        with self._lock:
            shared = self._under_way.get(url)
            if shared is None:
                mine = self._under_way[url] = Future()
        if shared is not None:
            return shared.result()
        try:
            mine.set_result(self._fetch(url, **arguments))
        except BaseException as error:
            mine.set_exception(error)
        finally:
            with self._lock:
                del self._under_way[url]
        return mine.result()


def provider(settings: IdentitySettings) -> Provider:
    issuer = f"https://securetoken.google.com/{settings.project}"

    def owns(said: Unverified | None) -> bool:
        return said is not None and said.issuer == issuer

    return Provider(connect(settings), owns)


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
