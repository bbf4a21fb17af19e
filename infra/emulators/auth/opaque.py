"""A backend with opaque tokens, which it alone can tell whose they are.

GET /users/me with a token as Bearer answers `{"success": true, "data": {"id", "name"}}`, or 401.
GET /tokens/USER answers a new token of that user, as plain text.
"""

import secrets
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from infra.emulators.auth.server import TOKENS_PATH, TokenServer


class OpaqueTokens(TokenServer):
    """Tokens, and whose they are."""

    def __init__(self) -> None:
        self.is_down = False
        self.asked: list[str] = []  # the tokens that were shown
        self._users: dict[str, str] = {}
        super().__init__()

    @property
    def url(self) -> str:
        """Which tells whose a token is."""
        return f"{self._origin}/users/me"

    def issue(self, user: str) -> str:
        token = f"{len(self._users) + 1}|{secrets.token_urlsafe(30)}"
        self._users[token] = user
        return token

    def revoke(self, token: str) -> None:
        del self._users[token]

    def owner(self, request: Request) -> str | None:
        """The user whose token a request shows; None: nobody's."""
        return self._users.get(_shown(request))

    async def _answer(self, request: Request) -> Response:
        path: str = request.scope["path"]
        if path.startswith(TOKENS_PATH):
            return PlainTextResponse(self.issue(path.removeprefix(TOKENS_PATH)))
        if path != "/users/me":
            return Response(status_code=HTTPStatus.NOT_FOUND)
        return self.say_whose(request)

    def say_whose(self, request: Request) -> Response:
        """The answer about the token that a request shows."""
        self.asked.append(_shown(request))
        if self.is_down:
            return Response(status_code=HTTPStatus.SERVICE_UNAVAILABLE)
        user = self.owner(request)
        if user is None:
            return JSONResponse({"success": False}, status_code=HTTPStatus.UNAUTHORIZED)
        return JSONResponse({"success": True, "data": {"id": user, "name": f"User {user}"}})


def _shown(request: Request) -> str:
    return request.headers.get("authorization", "").removeprefix("Bearer ")
