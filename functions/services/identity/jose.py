"""JSON Web Tokens of one's own choosing: what PyJWT refuses, in words for the client."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import jwt

from functions.ports.identity import NotAuthenticated
from functions.services.identity.choice import (
    CLOCK_SKEW_SECONDS,
    EXPIRED,
    NOT_VALID,
    TOO_EARLY,
)


def claims_of(
    token: str,
    key: Any,
    algorithms: Sequence[str],
    *,
    issuer: str | None,
    audience: str | None,
    audience_claim: str = "aud",
    required: Sequence[str] = ("exp",),
) -> Mapping[str, Any]:
    """The claims of a token that `key` has signed, with one of `algorithms`. Raises
    NotAuthenticated."""
    in_aud = audience if audience_claim == "aud" else None
    try:
        claims: Mapping[str, Any] = jwt.decode(
            token,
            key,
            algorithms=list(algorithms),
            issuer=issuer,
            audience=in_aud,
            leeway=0,
            options={
                "require": list(required),
                "verify_aud": in_aud is not None,
                # Their leeway would lengthen a token's life as well: `check_not_early` checks them.
                "verify_iat": False,
                "verify_nbf": False,
                # A user's id may be a number.
                "verify_sub": False,
            },
        )
    except jwt.ExpiredSignatureError as error:
        raise NotAuthenticated(EXPIRED) from error
    # Its own messages quote what the token says, so they are not passed on.
    except (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise NotAuthenticated(NOT_VALID) from error
    if audience and audience_claim != "aud" and not _names(claims.get(audience_claim), audience):
        raise NotAuthenticated(NOT_VALID)
    return claims


def check_not_early(claims: Mapping[str, Any], now: float) -> None:
    """Raises NotAuthenticated for a token whose time has not come, were clocks 30 s apart."""
    for name in ("nbf", "iat"):
        moment = claims.get(name)
        if moment is None:
            continue
        if seconds_of(moment) > now + CLOCK_SKEW_SECONDS:
            raise NotAuthenticated(TOO_EARLY)


def seconds_of(moment: object) -> float:
    """The Unix time that a claim names. Raises NotAuthenticated."""
    if not isinstance(moment, (int, float)) or isinstance(moment, bool):
        raise NotAuthenticated(NOT_VALID)
    try:
        seconds = float(moment)
    except OverflowError as error:
        raise NotAuthenticated(NOT_VALID) from error
    if not isfinite(seconds):
        raise NotAuthenticated(NOT_VALID)
    return seconds


def _names(value: object, audience: str) -> bool:
    return value == audience or (isinstance(value, list) and audience in value)
