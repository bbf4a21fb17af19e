"""A ring token: what a woken phone shows in place of its user's own, good for one call. Pure."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from functions.calls.call import CallId, UserId
from functions.calls.event import LONGEST_LIFE
from functions.clients.device import DEVICE_ID_LENGTH

RING_TOKEN_PREFIX = "ring."  # noqa: S105 - by which it is told from the tokens of users
# A call may be read while it goes on, for four hours at most, and for some time after its end.
READ_AFTER_END = timedelta(minutes=10)
GOOD_FOR = LONGEST_LIFE + timedelta(hours=4) + READ_AFTER_END
ISSUER, AUDIENCE = "unring", "ring"
KEY_ID_LENGTH = 8  # characters

# Bytes of a device's name, as it is written. With a longer one, a push might be too large for FCM.
_DEVICE_LIMIT = 128
_HEADER = len('{"alg":"HS256","kid":""}') + KEY_ID_LENGTH
_SIGNATURE = 32
_SOME_SECONDS = 10**9  # Unix time, which has ten digits until the year 2286


@dataclass(frozen=True, slots=True)
class RingToken:
    """Which call it is for, and whose it is: of the call's receiver, and of the device that was
    pushed, by the app's own name for it and by its registration, as far as each is known."""

    call: CallId
    user: UserId
    device: str | None = None
    registration: str | None = None


def is_ring_token(text: str) -> bool:
    return text.startswith(RING_TOKEN_PREFIX)


def content(token: RingToken, issued: int, expires: int) -> bytes:
    """The claims that are signed, in JSON; the times are Unix seconds. A device's name that is too
    long is left out."""
    claims: dict[str, object] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": issued,
        "exp": expires,
        "sub": token.user,
        "call": token.call,
    }
    if token.device is not None and len(_json(token.device)) - len('""') <= _DEVICE_LIMIT:
        claims["device"] = token.device
    if token.registration is not None:
        claims["registration"] = token.registration
    return _json(claims)


def ring_token_limit(call: CallId, user: UserId) -> int:
    """How many characters a token for this call and this user has at most."""
    longest = RingToken(call, user, "x" * _DEVICE_LIMIT, "x" * DEVICE_ID_LENGTH)
    signed = (_HEADER, len(content(longest, _SOME_SECONDS, _SOME_SECONDS)), _SIGNATURE)
    return len(RING_TOKEN_PREFIX) + len("..") + sum(map(_base64_length, signed))


def may_be_read(ended_at: datetime, now: datetime) -> bool:
    """Whether a call that ended then may still be read by its ring token."""
    return now <= ended_at + READ_AFTER_END


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _base64_length(size: int) -> int:
    """Of so many bytes, without padding."""
    return -(-size * 4 // 3)
