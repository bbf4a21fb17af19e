"""A small OpenID provider: its discovery document, its keys, and a token for whoever is named.

GET /.well-known/openid-configuration and GET /keys are as OpenID Connect has them. GET /tokens/USER
is no part of it: it answers a good token of that user, as plain text.
"""

import json
import time
from http import HTTPStatus
from typing import Any

from jwt.algorithms import RSAAlgorithm
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from infra.emulators.auth.server import TOKENS_PATH, TokenServer
from infra.emulators.auth.signing import ALGORITHM, SigningKey
from infra.emulators.auth.tokens import LIFETIME_SECONDS


class OidcIssuer(TokenServer):
    """An issuer of tokens for one audience."""

    def __init__(self, audience: str) -> None:
        self.audience = audience
        self.is_down = False
        self.asked: list[str] = []  # the paths, but for those of tokens
        self.key = SigningKey.new()
        super().__init__()

    @property
    def url(self) -> str:
        """What it calls itself."""
        return self._origin

    def claims(self, user: object) -> dict[str, Any]:
        now = int(time.time())
        times = {"iat": now, "exp": now + LIFETIME_SECONDS}
        return {"iss": self.url, "aud": self.audience, "sub": user, "name": f"User {user}", **times}

    def sign(self, user: object, **changes: object) -> str:
        """A token of `user`; `changes` are claims that it has instead, or not at all if None."""
        claims = {**self.claims(user), **changes}
        return self.key.sign({name: value for name, value in claims.items() if value is not None})

    async def _answer(self, request: Request) -> Response:
        path: str = request.scope["path"]
        if path.startswith(TOKENS_PATH):
            return PlainTextResponse(self.sign(path.removeprefix(TOKENS_PATH)))
        self.asked.append(path)
        if self.is_down:
            return Response(status_code=HTTPStatus.SERVICE_UNAVAILABLE)
        match path:
            case "/.well-known/openid-configuration":
                return JSONResponse({"issuer": self.url, "jwks_uri": f"{self.url}/keys"})
            case "/keys":
                return JSONResponse({"keys": [self._jwk()]})
            case _:
                return Response(status_code=HTTPStatus.NOT_FOUND)

    def _jwk(self) -> dict[str, Any]:
        described: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(self.key.private.public_key()))
        return {**described, "kid": self.key.id, "use": "sig", "alg": ALGORITHM}
