"""The HTTPS interface's replies: verdicts with their statuses, what a failure is answered, and what
browsers ask before."""

from collections.abc import Awaitable, Callable, Collection, Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions.calls.decision import LIMITED, UNAVAILABLE, Verdict, invalid
from functions.dialect.dialect import USUAL, Dialect
from functions.inbound.load import Overloaded
from functions.inbound.rate import RateExceeded
from functions.ports.identity import IdentityUnavailable, NotAuthenticated
from functions.ports.publisher import PublishFailed
from functions.ports.store import StoreUnavailable
from functions.telemetry import Log
from functions.wire.frames import reply_data
from functions.wire.requests import InvalidRequest

Reply = Callable[[Request], Awaitable[Response]]

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

log = Log(__name__)


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


async def answered(
    answer: Reply, request: Request, said: Callable[[Verdict], Response]
) -> Response:
    """The reply of `answer`; if it fails, the one by which that is `said`."""
    try:
        return await answer(request)
    except InvalidRequest as error:
        return said(invalid(error.field, error.message))
    except NotAuthenticated as error:
        return said(Verdict(ok=False, outcome="unauthenticated", message=str(error)))
    except RateExceeded as error:
        log.warning("too many requests", outcome="limited", userHash=error.user_hash)
        return said(LIMITED)
    except Overloaded as error:
        log.warning("overloaded", error=str(error))
    except (IdentityUnavailable, StoreUnavailable, PublishFailed) as error:
        log.error("request failed", error=str(error))
    except Exception:  # whatever failed, the app may try again
        log.exception("request failed")
    return said(UNAVAILABLE)


def status_of(verdict: Verdict) -> int:
    return 200 if verdict.ok else _STATUSES.get(verdict.outcome, _CONFLICT)


def replied(content: Mapping[str, object], status: int) -> Response:
    """The reply with this `content`; if a repeat may help, it says when."""
    reply = JSONResponse(content, status_code=status)
    if status in (429, 503):
        reply.headers["Retry-After"] = _RETRY_AFTER_SECONDS
    return reply


def preflight(methods: Collection[str], asked: str | None) -> Response:
    """What a browser asks before a page of another origin may send a request, perhaps with headers
    of its own: those are `asked` for."""
    headers = {
        "Access-Control-Allow-Methods": ", ".join(methods),
        "Access-Control-Allow-Headers": asked or "Authorization, Content-Type",
        "Access-Control-Max-Age": "600",
    }
    return allowing(methods, Response(status_code=204, headers=headers))


def allowing(methods: Collection[str], reply: Response) -> Response:
    reply.headers["Allow"] = ", ".join((*methods, "OPTIONS"))
    return reply
