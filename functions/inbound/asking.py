"""Who asks over HTTPS, and what with: a user's token or the backend's key, and a JSON object."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from functions.calls.decision import invalid
from functions.clients.ringtoken import RingToken, is_ring_token
from functions.inbound.http import body_of
from functions.inbound.rate import RequestRate
from functions.inbound.replies import said
from functions.inbound.secrets import is_known
from functions.ports.identity import Identified, Identity, NotAuthenticated
from functions.ports.ring_tokens import RingTokens
from functions.sessions.tokens import verified
from functions.telemetry import Log
from functions.wire.requests import InvalidRequest
from functions.wire.text import NotJson, loads

log = Log(__name__)


@dataclass(frozen=True, slots=True)
class Asking:
    """Tells who asks."""

    identity: Identity
    keys: Collection[str]  # of backends
    rate: RequestRate
    ring_tokens: RingTokens

    async def user(self, request: Request, token: object = None) -> Identified:
        """Whose the request is, by its header or else by a `token` in its body. It counts as one of
        his. Raises NotAuthenticated, IdentityUnavailable and RateExceeded."""
        header = request.headers.get("authorization", "")
        scheme, _, rest = header.partition(" ")
        if rest and scheme.lower() != "bearer":
            raise NotAuthenticated("the token is not valid: it must be shown as Bearer")
        in_body = token if isinstance(token, str) else None
        identified = await verified(self.identity, header or in_body)
        self.rate.count(identified.user)
        return identified

    def ring_token(self, request: Request) -> RingToken | None:
        """What a ring token says, if the header shows one. It counts as a request of its user's.
        Raises NotAuthenticated and RateExceeded."""
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not is_ring_token(shown.strip()):
            return None
        token = self.ring_tokens.verify(shown.strip())
        self.rate.count(token.user)
        return token

    def check_backend(self, request: Request) -> None:
        """Raises NotAuthenticated if the app's backend is not who asks."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if not key:
            raise NotAuthenticated("the API key is missing")
        if scheme.lower() != "bearer" or not is_known(key.strip(), self.keys):
            log.warning("wrong API key")
            raise NotAuthenticated("the API key is not valid")


async def content_of(request: Request, *, may_be_empty: bool = False) -> dict[str, Any] | Response:
    """The object that the body is; the reply, if it did not come. Raises InvalidRequest."""
    body = await body_of(request)
    if isinstance(body, Response):
        verdict = invalid("body", "it is too large, too slow or cut off")
        return said(verdict, None, body.status_code)
    if not body and may_be_empty:
        return {}
    try:
        content = loads(body.decode())
    except (NotJson, UnicodeDecodeError):
        content = None
    if not isinstance(content, dict):
        raise InvalidRequest("body", "the body must be a JSON object")
    return content
