"""The HTTPS interface's replies: verdicts with their statuses, and what browsers ask before."""

from collections.abc import Collection, Mapping

from starlette.responses import JSONResponse, Response

from functions.calls.decision import Verdict
from functions.dialect.dialect import USUAL, Dialect
from functions.wire.frames import reply_data

_RETRY_AFTER_SECONDS = "1"
_STATUSES = {
    "invalid": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "unreadable": 422,
    "limited": 429,
    "unavailable": 503,
}
_CONFLICT = 409  # the call got another answer first


def said(
    verdict: Verdict,
    call: object = None,
    status: int | None = None,
    dialect: Dialect = USUAL,
    *,
    of_initiate: bool = False,
) -> Response:
    """The reply that says `verdict`, on a `call` if it is about one, with the status that its
    outcome has unless it is given."""
    data = reply_data(verdict, call, dialect, of_initiate=of_initiate)
    reply = replied(data, status or status_of(verdict))
    if reply.status_code == 401:
        reply.headers["WWW-Authenticate"] = "Bearer"
    return reply


def status_of(verdict: Verdict) -> int:
    return 200 if verdict.ok else _STATUSES.get(verdict.outcome, _CONFLICT)


def replied(content: Mapping[str, object], status: int) -> Response:
    """The reply with this `content`; if a repeat may help, it says when."""
    reply = JSONResponse(content, status_code=status)
    if status in (429, 503):
        reply.headers["Retry-After"] = _RETRY_AFTER_SECONDS
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
