"""Ring tokens, signed with a secret that nobody else has: JSON Web Tokens (HS256) behind a prefix.

The secret itself signs nothing: a key made of it does, so that a ring token is of no use where
somebody has chosen the same secret for the tokens of users, and theirs are of none here.
"""

import hmac
from collections.abc import Mapping
from datetime import datetime

from functions.calls.call import CallId, UserId
from functions.clients.ringtoken import (
    AUDIENCE,
    GOOD_FOR,
    ISSUER,
    KEY_ID_LENGTH,
    RING_TOKEN_PREFIX,
    RingToken,
    content,
)
from functions.ports.identity import NotAuthenticated
from functions.settings import RingTokenSettings

# PyJWT is imported on first use: most instances of `gateway` are never shown such a token.

_ALGORITHM = "HS256"
_LONGEST = 4096  # characters: to look at more would hold up others, and FCM carries no longer one
_NOT_VALID = "the ring token is not valid"


class SignedRingTokens:
    """Signs with the current secret, and takes what the previous one has signed as well."""

    def __init__(self, current: str | None, previous: str | None = None) -> None:
        secrets = [each for each in (current, previous) if each]
        self._keys: Mapping[str, bytes] = {_key_id(each): _key(each) for each in secrets}
        self._current = _key_id(current) if current else None

    def sign(self, token: RingToken, now: datetime) -> str | None:
        if self._current is None:
            return None
        from jwt.api_jws import PyJWS

        issued, expires = int(now.timestamp()), int((now + GOOD_FOR).timestamp())
        # Without a type the header is shorter, and FCM limits the whole message.
        header = {"typ": "", "kid": self._current}
        key, claims = self._keys[self._current], content(token, issued, expires)
        signed = PyJWS().encode(claims, key, algorithm=_ALGORITHM, headers=header)
        return f"{RING_TOKEN_PREFIX}{signed}"

    def verify(self, text: str) -> RingToken:
        shown = text.removeprefix(RING_TOKEN_PREFIX)
        if shown == text or len(text) > _LONGEST or not self._keys:
            raise NotAuthenticated(_NOT_VALID)
        from functions.services.identity.jose import claims_of

        claims = claims_of(
            shown,
            self._key_of(shown),
            [_ALGORITHM],
            issuer=ISSUER,
            audience=AUDIENCE,
            required=("iss", "aud", "exp", "sub", "call"),
        )
        call, user = claims.get("call"), claims.get("sub")
        if not isinstance(call, str) or not isinstance(user, str):
            raise NotAuthenticated(_NOT_VALID)
        device = (_text_if_any(claims.get(name)) for name in ("device", "registration"))
        return RingToken(CallId(call), UserId(user), *device)

    def _key_of(self, shown: str) -> bytes:
        """The key that the token names, which nobody has verified. Raises NotAuthenticated."""
        from jwt import PyJWTError, get_unverified_header

        try:
            id = get_unverified_header(shown).get("kid")
        except (PyJWTError, ValueError, RecursionError) as error:
            raise NotAuthenticated(_NOT_VALID) from error
        if not isinstance(id, str) or id not in self._keys:
            raise NotAuthenticated(_NOT_VALID)
        return self._keys[id]

    async def warm_up(self) -> None:
        """Loads PyJWT, where tokens are signed at all."""
        if self._keys:
            from jwt import api_jws  # noqa: F401


def connect(settings: RingTokenSettings) -> SignedRingTokens:
    return SignedRingTokens(settings.ring_token_secret, settings.ring_token_secret_previous)


def _text_if_any(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _key(secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"unring ring token", "sha256")


def _key_id(secret: str) -> str:
    """By it a token says which secret has signed it; it says nothing of the secret itself."""
    return hmac.digest(secret.encode(), b"unring ring token key", "sha256").hex()[:KEY_ID_LENGTH]
