"""Which provider judges a token, where several are chosen: its form and its issuer tell."""

import asyncio
import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from functions.ports.identity import Identified, Identity, NotAuthenticated
from functions.services.identity.claims import json_in

# What clients are told, and what all providers forgive.
NOT_VALID = "the token is not valid"
EXPIRED = "the token has expired"
TOO_EARLY = "the token is not valid yet: the clocks differ by more than 30 seconds"
CLOCK_SKEW_SECONDS = 30  # by which a token may seem to come from the future
# What separates the parts of a JSON Web Token, or stands around one that was copied with a scheme
# or with quotes.
_NO_BASE64 = re.compile(r"[^A-Za-z0-9_=-]+")


@dataclass(frozen=True, slots=True)
class Unverified:
    """What a JSON Web Token says of itself. Nobody has verified any of it."""

    algorithm: str
    issuer: str | None


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider of identity, and which tokens are its own; None stands for a token that is no JSON
    Web Token."""

    identity: Identity
    owns: Callable[[Unverified | None], bool]


def chosen(providers: Sequence[Provider]) -> Identity:
    """One provider judges all tokens; of several, each those that are its own."""
    return providers[0].identity if len(providers) == 1 else Several(providers)


class Several:
    """Has a token judged by the one provider whose own it is. None is ever shown another's: it may
    send what it is shown to somebody."""

    def __init__(self, providers: Sequence[Provider]) -> None:
        self._providers = providers

    async def verify(self, token: str) -> Identified:
        """Costs what it costs the provider."""
        said = unverified(token)
        owner = next((each for each in self._providers if each.owns(said)), None)
        if owner is None:
            raise NotAuthenticated(NOT_VALID)
        return await owner.identity.verify(token)

    async def warm_up(self) -> None:
        await asyncio.gather(*(each.identity.warm_up() for each in self._providers))


def unverified(token: str) -> Unverified | None:
    """What the token says of itself. None if it is no JSON Web Token, neither whole nor broken nor
    with anything around it: then no part of it is an object."""
    parts = [_json(part) for part in _NO_BASE64.split(token)]
    if not any(part is not None for part in parts):
        return None
    header, claims = parts[0] or {}, (parts[1] if len(parts) > 1 else None) or {}
    algorithm, issuer = header.get("alg"), claims.get("iss")
    return Unverified(
        algorithm if isinstance(algorithm, str) else "",
        issuer if isinstance(issuer, str) else None,
    )


def _json(part: str) -> dict[str, Any] | None:
    try:
        content = json_in(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
