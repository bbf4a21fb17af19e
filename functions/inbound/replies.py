"""The HTTPS interface's replies: verdicts with their statuses, and what browsers ask before."""

from collections.abc import Collection

from starlette.responses import JSONResponse, Response

from functions.calls.decision import Verdict
from functions.dialect.dialect import USUAL, Dialect
from functions.wire.frames import reply_data

_RETRY_AFTER_SECONDS = "1"
_STATUSES = {
    "invalid": 400,
    "forbidden": 403,
    "not_found": 404,
    "unreadable": 422,
    "unavailable": 503,
}
_CONFLICT = 409  # the call got another answer first


def said(
    verdict: Verdict, call: object, status: int | None = None, dialect: Dialect = USUAL
) -> Response:
    """The reply that says `verdict`, on a `call` if it is about one, with the status that its
    outcome has unless it is given."""
    status = status or (200 if verdict.ok else _STATUSES.get(verdict.outcome, _CONFLICT))
    reply = JSONResponse(reply_data(verdict, call, dialect), status_code=status)
    if status == 503:
        reply.headers["Retry-After"] = _RETRY_AFTER_SECONDS
    return reply


def unauthenticated(message: str) -> Response:
    reply = said(Verdict(ok=False, outcome="unauthenticated", message=message), None, 401)
    reply.headers["WWW-Authenticate"] = "Bearer"
    return reply


def preflight(methods: Collection[str]) -> Response:
    """What a browser asks before a page of another origin may send a request."""
    headers = {
        "Access-Control-Allow-Methods": ", ".join(methods),
        "Access-Control-Allow-Headers": "Authorization, Content-Type",
        "Access-Control-Max-Age": "600",
    }
    return allowing(methods, Response(status_code=204, headers=headers))


def allowing(methods: Collection[str], reply: Response) -> Response:
    reply.headers["Allow"] = ", ".join((*methods, "OPTIONS"))
    return reply
