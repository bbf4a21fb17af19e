"""OpenID Connect: tokens of any issuer that publishes its keys.

https://openid.net/specs/openid-connect-discovery-1_0.html
"""

import asyncio
from collections.abc import Callable, Mapping
from math import inf
from time import monotonic, time
from typing import Any

import jwt
import msgspec

from functions.ports.identity import Identified, IdentityUnavailable, NotAuthenticated
from functions.services.http import Http, NoAnswer
from functions.services.identity.choice import NOT_VALID, Provider, Unverified
from functions.services.identity.claims import identified_at
from functions.services.identity.jose import check_not_early, claims_of
from functions.settings import IdentitySettings
from functions.telemetry import Log

# With a public key, and nothing else: with a secret, the key that everybody knows would sign.
ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
_TIMEOUT_SECONDS = 5.0
_FRESH_SECONDS = 60 * 60.0  # for which keys are not fetched again, unless an unknown one is named
_GOOD_SECONDS = 24 * 60 * 60.0  # for which they are good if the issuer can't be reached meanwhile
_AGAIN_SECONDS = 5.0  # at the earliest, also for tokens that name keys which do not exist
_DISCOVERY = "/.well-known/openid-configuration"

log = Log(__name__)


class OidcIdentity:
    """Verifies the tokens of one issuer."""

    def __init__(
        self,
        keys: "Keys",
        issuer: str,
        audience: str,
        *,
        audience_claim: str,
        user_claim: str,
        name_claim: str,
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._audience_claim = audience_claim
        self._user_claim = user_claim
        self._name_claim = name_claim

    async def verify(self, token: str) -> Identified:
        """2 GETs while the issuer's keys are not known, 1 if the token names another; else nothing:
        keys that are old are fetched again beside it."""
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise NotAuthenticated(NOT_VALID) from error
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS:
            raise NotAuthenticated(NOT_VALID)
        key = await self._keys.of(header.get("kid"), str(algorithm))
        claims = claims_of(
            token,
            key,
            [str(algorithm)],
            issuer=self._issuer,
            audience=self._audience,
            audience_claim=self._audience_claim,
        )
        check_not_early(claims, time())
        identified = identified_at(claims, self._user_claim, self._name_claim)
        if identified is None:
            raise NotAuthenticated(NOT_VALID)
        return identified

    async def warm_up(self) -> None:
        """2 GETs. Raises IdentityUnavailable."""
        await self._keys.fetch()


class Keys:
    """The public keys of one issuer, which it may change at any time."""

    def __init__(self, http: Http, issuer: str, clock: Callable[[], float] = monotonic) -> None:
        self._http = http
        self._issuer = issuer
        self._clock = clock
        self._url: str | None = None
        self._keys: list[Mapping[str, Any]] | None = None
        self._fetched_at = 0.0
        self._tried_at: float | None = None
        self._failure: str | None = None  # of the latest try
        self._fetching: asyncio.Task[None] | None = None

    async def of(self, id: object, algorithm: str) -> jwt.PyJWK:
        """The key that a token names. Raises NotAuthenticated and IdentityUnavailable."""
        found = self._named(id)
        if self._is_to_be_fetched(known=found is not None):
            fetching = self._begin()
            if found is None:
                await asyncio.wait([fetching])  # whatever comes of it
                found = self._named(id)
        # What could not be fetched may have been there.
        if found is None and (self._failure or self._age() > _GOOD_SECONDS):
            raise IdentityUnavailable(self._failure or "the issuer's keys are not known")
        if found is None or found.get("alg", algorithm) != algorithm:
            raise NotAuthenticated(NOT_VALID)
        try:
            return jwt.PyJWK(dict(found), algorithm)
        except (jwt.PyJWTError, ValueError, TypeError) as error:  # a key of another kind
            raise NotAuthenticated(NOT_VALID) from error

    async def fetch(self) -> None:
        """One fetch at a time, for all who wait. Raises IdentityUnavailable."""
        await asyncio.shield(self._begin())

    def _begin(self) -> asyncio.Task[None]:
        if self._fetching is None:
            self._tried_at = self._clock()
            self._fetching = asyncio.create_task(self._fetch())
            self._fetching.add_done_callback(self._fetched)
        return self._fetching

    def _fetched(self, task: asyncio.Task[None]) -> None:
        self._fetching = None
        failure = None if task.cancelled() else task.exception()
        self._failure = str(failure) if failure else None
        if failure:
            self._url = None  # the issuer may have moved its keys
            log.warning("keys not fetched", error=str(failure))

    def _age(self) -> float:
        return inf if self._keys is None else self._clock() - self._fetched_at

    def _is_to_be_fetched(self, *, known: bool) -> bool:
        is_recent = self._tried_at is not None and self._clock() - self._tried_at < _AGAIN_SECONDS
        return self._fetching is not None or not (
            is_recent or (known and self._age() < _FRESH_SECONDS)
        )

    def _named(self, id: object) -> Mapping[str, Any] | None:
        if self._age() > _GOOD_SECONDS:
            return None
        keys = [key for key in self._keys or () if key.get("use", "sig") == "sig"]
        if id is None:  # an issuer with a single key need not name it
            return keys[0] if len(keys) == 1 else None
        return next((key for key in keys if key.get("kid") == id), None)

    async def _fetch(self) -> None:
        url = self._url or await self._discovered()
        document = await self._get(url)
        keys = document.get("keys")
        if not isinstance(keys, list):
            raise IdentityUnavailable(f"{url} has no keys")
        # Whoever can read a private key can sign with it.
        public: list[Mapping[str, Any]] = [
            key for key in keys if isinstance(key, dict) and "d" not in key
        ]
        self._url, self._keys, self._fetched_at = url, public, self._clock()

    async def _discovered(self) -> str:
        document = await self._get(self._issuer.rstrip("/") + _DISCOVERY)
        issuer, url = document.get("issuer"), document.get("jwks_uri")
        if issuer != self._issuer:
            slash = isinstance(issuer, str) and issuer.rstrip("/") == self._issuer.rstrip("/")
            why = "they differ by the slash at the end" if slash else "they must be the same"
            message = f"OIDC_ISSUER is {self._issuer}, and the issuer calls itself {issuer}: {why}"
            log.error("issuer differs", error=message)
            raise IdentityUnavailable(message)
        if not isinstance(url, str):
            raise IdentityUnavailable(f"{self._issuer} names no jwks_uri")
        if self._issuer.startswith("https:") and not url.startswith("https:"):
            raise IdentityUnavailable(f"{self._issuer} names a jwks_uri without https://")
        return url

    async def _get(self, url: str) -> Mapping[str, Any]:
        try:
            reply = await self._http.send("GET", url, {"Accept": "application/json"})
            document = msgspec.json.decode(reply.body) if reply.status == 200 else None
        except (NoAnswer, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise IdentityUnavailable(f"{url}: {error}") from error
        if not isinstance(document, dict):
            raise IdentityUnavailable(f"{url} answers {reply.status}, or no JSON object")
        return document


def provider(settings: IdentitySettings) -> Provider:
    issuer, audience = settings.oidc_issuer, settings.oidc_audience
    assert issuer  # noqa: S101 - the settings are checked
    assert audience  # noqa: S101

    def owns(said: Unverified | None) -> bool:
        return said is not None and said.issuer == issuer and said.algorithm in ALGORITHMS

    identity = OidcIdentity(
        Keys(Http(_TIMEOUT_SECONDS), issuer),
        issuer,
        audience,
        audience_claim=settings.oidc_audience_claim,
        user_claim=settings.oidc_user_claim,
        name_claim=settings.oidc_name_claim,
    )
    return Provider(identity, owns)
