"""Who issues tokens in the tests of identity: an OpenID provider, and an app's own backend."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.emulators.http import serving

AUDIENCE = "the app"
_DISCOVERY = "/.well-known/openid-configuration"

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_jwk(key: Key, id: str, **more: str) -> dict[str, Any]:
    algorithm = (
        jwt.algorithms.RSAAlgorithm
        if isinstance(key, rsa.RSAPrivateKey)
        else jwt.algorithms.ECAlgorithm
    )
    described: dict[str, Any] = json.loads(algorithm.to_jwk(key.public_key()))  # type: ignore[arg-type]
    return {**described, "kid": id, "use": "sig", **more}


@dataclass
class Issuer:
    """An OpenID provider that its tests may change at any time."""

    url: str = ""
    issuer: str | None = None  # what it calls itself; None: its URL
    keys: list[Any] = field(default_factory=list)
    keys_path: str = "/keys"
    down: bool = False
    answering: asyncio.Event = field(default_factory=asyncio.Event)  # while it is cleared, it hangs
    asked: list[str] = field(default_factory=list)

    def claims(self, **changes: object) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "auth0|1",
            "iat": now,
            "exp": now + 600,
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(
        self, key: Key, id: str | None = "1", algorithm: str = "RS256", **changes: object
    ) -> str:
        headers = {"kid": id} if id else None
        return jwt.encode(self.claims(**changes), key, algorithm, headers)

    async def _answer(self, request: Request) -> Response:
        self.asked.append(request.url.path)
        await self.answering.wait()
        if self.down:
            return Response(status_code=503)
        if request.url.path == self.keys_path:
            return JSONResponse({"keys": self.keys})
        if request.url.path != _DISCOVERY:
            return Response(status_code=404)
        keys_url = f"{self.url}{self.keys_path}"
        return JSONResponse({"issuer": self.issuer or self.url, "jwks_uri": keys_url})


@asynccontextmanager
async def issuer() -> AsyncIterator[Issuer]:
    made = Issuer()
    made.answering.set()
    routes = [Route("/{path:path}", made._answer)]
    async with serving(Starlette(routes=routes), lifespan="off") as url:
        made.url = url
        yield made


@dataclass
class Backend:
    """An app's backend: whose tokens it knows, and what it answers of others."""

    url: str = ""
    users: dict[str, object] = field(default_factory=dict)  # the answer, by the token
    other: Response = field(default_factory=lambda: Response(status_code=401))
    asked: list[Mapping[str, str]] = field(default_factory=list)  # the headers

    async def _answer(self, request: Request) -> Response:
        self.asked.append(dict(request.headers))
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token in self.users:
            # Starlette's own JSON refuses halves of characters, which PHP for one sends.
            return Response(json.dumps(self.users[token]), media_type="application/json")
        return self.other


@asynccontextmanager
async def backend() -> AsyncIterator[Backend]:
    made = Backend()
    routes = [Route("/api/v1/users/me", made._answer)]
    async with serving(Starlette(routes=routes), lifespan="off") as url:
        made.url = f"{url}/api/v1/users/me"
        yield made
