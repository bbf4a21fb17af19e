"""Firebase's keys for ID tokens: signs as Firebase does, and publishes as Google does.

GET /robot/v1/metadata/x509/securetoken@system.gserviceaccount.com answers the certificates by key
id. GET /tokens/USER is no part of Firebase: it answers a good token of that user, as plain text.
"""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from infra.emulators.auth.server import TOKENS_PATH, TokenServer
from infra.emulators.auth.signing import SigningKey
from infra.emulators.auth.tokens import LIFETIME_SECONDS, user_claims
from infra.emulators.faults import Broken, Faults
from infra.emulators.http import peer_of

_ACCOUNT = "securetoken@system.gserviceaccount.com"
_KEYS_PATH = f"/robot/v1/metadata/x509/{_ACCOUNT}"


class TokenKeys(TokenServer):
    """The keys of one project's ID tokens."""

    def __init__(
        self, project: str, max_age_seconds: int = 3600, faults: Faults | None = None
    ) -> None:
        """`max_age_seconds` is for how long whoever fetches the keys may keep them; `faults` sees
        each fetch as the call "keys.GET"."""
        self._faults = faults or Faults()
        self._project = project
        self._max_age_seconds = max_age_seconds
        super().__init__()
        self.rotate()

    @property
    def url(self) -> str:
        """Of the certificates."""
        return f"{self._origin}{_KEYS_PATH}"

    def sign(self, user: str, lifetime_seconds: int = LIFETIME_SECONDS, **changes: object) -> str:
        """An ID token of `user`; a negative lifetime makes one that has expired.

        `changes` are claims that it has instead of Firebase's.
        """
        return self._key.sign({**user_claims(user, self._project, lifetime_seconds), **changes})

    def rotate(self) -> None:
        """Signs with a new key from now on, and forgets the old one.

        At once: Google publishes a new key long before it is used, and an old one long after.
        """
        self._key = SigningKey.new()
        self._certificates = {self._key.id: self._key.certificate(_ACCOUNT)}

    async def _answer(self, request: Request) -> Response:
        path: str = request.scope["path"]
        if request.method != "GET":
            return Response(status_code=HTTPStatus.METHOD_NOT_ALLOWED)
        if path == _KEYS_PATH:
            try:
                return await self._faults.around(
                    "keys.GET", lambda: path, self._keys, lambda: peer_of(request)
                )
            except Broken:
                return Response(status_code=HTTPStatus.SERVICE_UNAVAILABLE)
        if path.startswith(TOKENS_PATH):
            return PlainTextResponse(self.sign(path.removeprefix(TOKENS_PATH)))
        return Response(status_code=HTTPStatus.NOT_FOUND)

    async def _keys(self) -> Response:
        keep = f"public, max-age={self._max_age_seconds}, must-revalidate, no-transform"
        return JSONResponse(self._certificates, headers={"Cache-Control": keep})
