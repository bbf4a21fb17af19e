"""Cloud Run's front: lets a request through to a function only from who may invoke it.

https://cloud.google.com/run/docs/authenticating/service-to-service
"""

import html
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Self

import httpx
import jwt
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import request_response

from infra.emulators.auth.signing import ALGORITHM, SigningKey
from infra.emulators.auth.tokens import GOOGLE, account_claims
from infra.emulators.hops import HOP_BY_HOP, NOT_PASSED_BACK
from infra.emulators.http import serving

# If a request has both, only the first is looked at.
_TOKEN_HEADERS = ("x-serverless-authorization", "authorization")
_REMOVED = "SIGNATURE_REMOVED_BY_GOOGLE"  # so that a function can't speak in its caller's name
_PATIENCE_SECONDS = 180.0  # longer than the functions behind it take
_CHALLENGE = (
    'Bearer error="invalid_token" error_description="The access token could not be verified"'
)
_CLAIMS = ["aud", "email", "exp", "iat", "iss", "sub"]
# Our own server dates the answer.
_NOT_PASSED_BACK = NOT_PASSED_BACK | {"date", "server"}

_RawHeaders = list[tuple[bytes, bytes]]


class NotVerified(Exception):
    """The token is not one that Google made for this function, or is not good any more."""


class Issuer:
    """Google, as far as it says to functions who calls them."""

    def __init__(self) -> None:
        self.key = SigningKey.new()

    def sign(self, claims: Mapping[str, object]) -> str:
        """A token with these claims, whatever they are."""
        return self.key.sign(claims)

    def token(self, email: str, audience: str) -> str:
        """The OpenID Connect token of a service account for the function at `audience`."""
        return self.sign(account_claims(email, audience, datetime.now(UTC)))

    def email(self, token: str, audience: str) -> str:
        """The service account whose token for `audience` this is. Raises NotVerified."""
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
            claims: dict[str, Any] = jwt.decode(
                token,
                self.key.private.public_key(),
                algorithms=[ALGORITHM],
                audience=audience,
                issuer=GOOGLE,
                options={"require": _CLAIMS},
            )
        except (jwt.InvalidTokenError, RecursionError) as error:
            raise NotVerified(str(error)) from error
        if key_id != self.key.id or claims.get("email_verified") is not True:
            raise NotVerified("another key, or an address that nobody has verified")
        return str(claims["email"])


class Front:
    """The front of one function; its own URL is the audience that tokens must be for.

    An async context that listens on a free port while it lasts.
    """

    def __init__(
        self, function: Callable[[], str], issuer: Issuer, invokers: Collection[str]
    ) -> None:
        """`function` gives the URL that requests of the service accounts `invokers` are passed to,
        when there is one."""
        self._function = function
        self._issuer = issuer
        self._invokers = invokers
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        client = httpx.AsyncClient(timeout=_PATIENCE_SECONDS, trust_env=False)
        self._http = await self._stack.enter_async_context(client)
        for name in list(client.headers):  # what httpx says of itself is not the caller's word
            del client.headers[name]
        server = serving(request_response(self._answer), lifespan="off", server_header=False)
        self.url = await self._stack.enter_async_context(server)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _answer(self, request: Request) -> Response:
        """Where every request enters."""
        header = next((name for name in _TOKEN_HEADERS if name in request.headers), "")
        scheme, _, token = ",".join(request.headers.getlist(header)).partition(" ")
        if scheme.lower() != "bearer":
            return _refusal(HTTPStatus.FORBIDDEN, request.url.path)
        try:
            email = self._issuer.email(token, self.url)
        except NotVerified:
            return _refusal(HTTPStatus.UNAUTHORIZED, request.url.path)
        if email not in self._invokers:
            return _refusal(HTTPStatus.FORBIDDEN, request.url.path)
        unsigned = f"{scheme} {token.rpartition('.')[0]}.{_REMOVED}"
        headers = request.headers.mutablecopy()
        headers[header] = unsigned
        return await self._passed(request, headers)

    async def _passed(self, request: Request, headers: Headers) -> Response:
        query = request.scope["query_string"]
        path = request.scope["raw_path"] + (b"?" + query if query else b"")
        body = await request.body()
        try:
            answer = await self._http.request(
                request.method,
                httpx.URL(self._function()).copy_with(raw_path=path),
                headers=_passed_on(headers.raw, HOP_BY_HOP),
                content=body,
            )
        except httpx.TransportError:  # the instance is gone, or went while it was at it
            return PlainTextResponse("Service Unavailable", HTTPStatus.SERVICE_UNAVAILABLE)
        response = Response(answer.content, answer.status_code)
        response.raw_headers += _passed_on(answer.headers.raw, _NOT_PASSED_BACK)
        return response


def _passed_on(headers: Sequence[tuple[bytes, bytes]], but: Collection[str]) -> _RawHeaders:
    lower = [(name.lower(), value) for name, value in headers]
    return [(name, value) for name, value in lower if name.decode("latin-1") not in but]


def _refusal(status: HTTPStatus, path: str) -> Response:
    """Cloud Run's own page: without a token or a role it is 403, and 401 with a bad token."""
    if status is HTTPStatus.UNAUTHORIZED:
        challenge = {"WWW-Authenticate": _CHALLENGE}
        what = f"to the requested URL <code>{html.escape(path)}</code>."
    else:
        challenge = {}
        what = f"to get URL <code>{html.escape(path)}</code> from this server."
    page = (
        f"<html><head>\n<title>{status} {status.phrase}</title>\n</head>\n<body>\n"
        f"<h1>Error: {status.phrase}</h1>\n<h2>Your client does not have permission {what}</h2>\n"
        "</body></html>\n"
    )
    return HTMLResponse(page, status, challenge)
