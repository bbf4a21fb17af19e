"""The HTTPS interface: what an app asks for with its user's token, and its backend with the key.

docs/api.md describes it for people, and openapi.py for programs.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions import telemetry
from functions.calls.call import Call, CallId, SignalId, UnreadableCall, UserId, names_document
from functions.calls.decision import NOT_FOUND, UNAVAILABLE, UNREADABLE, invalid
from functions.calls.transitions import SIGNALS, Signal
from functions.delivery.signaling import Received, Signaling
from functions.inbound.http import body_of
from functions.inbound.load import Load, Overloaded, Urgency, urgency_of
from functions.inbound.naming import named, names_known_call
from functions.inbound.replies import allowing, preflight, said, unauthenticated
from functions.inbound.secrets import is_known
from functions.ports.clock import Clock
from functions.ports.identity import Identity, IdentityUnavailable, NotAuthenticated
from functions.ports.publisher import PublishFailed
from functions.ports.store import Calls, StoredCall, StoreUnavailable
from functions.sessions.tokens import verified
from functions.telemetry import Log, latency_ms
from functions.wire.frames import RequestFrame
from functions.wire.requests import InvalidRequest, parse, user_in
from functions.wire.text import NotJson, loads

_SIGNALS = "/v1/signals"
_CALLS = "/v1/calls/"
_OPENAPI = "/v1/openapi.json"
# What a backend has done to a call, by the last step of the path.
SIGNALS_BY_STEP = {signal.removeprefix("call:"): signal for signal in SIGNALS}

log = Log(__name__)

Reply = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Api:
    """Replies to requests, also to those that make no sense; no request leaves it with an error."""

    signaling: Signaling
    calls: Calls
    identity: Identity
    load: Load
    keys: Collection[str]  # of backends
    origins: Collection[str]  # of pages that may read the replies
    clock: Clock
    new_id: Callable[[], SignalId]

    async def reply(self, request: Request) -> Response:
        reply = await self._reply(request)
        origin = request.headers.get("origin")
        if origin is not None and origin in self.origins:
            reply.headers["Access-Control-Allow-Origin"] = origin
            reply.headers["Access-Control-Expose-Headers"] = "Retry-After"
        if self.origins:
            reply.headers["Vary"] = "Origin"
        return reply

    async def _reply(self, request: Request) -> Response:
        path, method = request.scope["path"], request.method
        replies = self._replies_at(path)
        if not replies:
            message = f"there is no such path; {_OPENAPI} has those that there are"
            return said(replace(NOT_FOUND, message=message), None)
        if method == "OPTIONS":
            return preflight(replies)
        if method not in replies:
            verdict = invalid("method", f"{path} takes {', '.join(replies)}")
            return allowing(replies, said(verdict, None, 405))
        return await self._answered(replies[method], request)

    def _replies_at(self, path: str) -> Mapping[str, Reply]:
        """What replies at a path, by the method."""
        if path == _SIGNALS:
            return {"POST": self._signal}
        if path.startswith(_CALLS):
            call, slash, last = path.removeprefix(_CALLS).rpartition("/")
            if not slash:
                return {"GET": partial(self._call, last)} if last else {}
            event = SIGNALS_BY_STEP.get(last)
            return {"POST": partial(self._on_behalf, call, event)} if call and event else {}
        return {"GET": _openapi} if path == _OPENAPI else {}

    async def _answered(self, answer: Reply, request: Request) -> Response:
        try:
            reply = await answer(request)
        except InvalidRequest as error:
            return said(invalid(error.field, error.message), None)
        except NotAuthenticated as error:
            return unauthenticated(str(error))
        except Overloaded as error:
            log.warning("overloaded", error=str(error))
        except (IdentityUnavailable, StoreUnavailable, PublishFailed) as error:
            log.error("request failed", error=str(error))
        except Exception:  # whatever failed, the app may try again
            log.exception("request failed")
        else:
            return reply
        return said(UNAVAILABLE, None)

    async def _signal(self, request: Request) -> Response:
        """1 look at the token, and what the signal costs."""
        came_at = self.clock()
        content = await _content_of(request)
        if isinstance(content, Response):
            return content
        signal = _signal_in(content)
        with self._begun(signal):
            # Where a page sends a beacon, which has no headers, the token is in the body.
            sender = await self._user(request, content.get("token"))
            return await self._carried_out(signal, sender, came_at)

    async def _on_behalf(self, call: str, event: str, request: Request) -> Response:
        """What the signal costs. A body without the key is not waited for."""
        self._check_key(request)
        came_at = self.clock()
        content = await _content_of(request)
        if isinstance(content, Response):
            return content
        signal = _signal_in({"event": event, "data": {**content, "callId": call}})
        sender = user_in(content)
        with self._begun(signal):
            return await self._carried_out(signal, sender, came_at)

    def _begun(self, signal: Signal) -> AbstractContextManager[None]:
        """For as long as a signal is carried out, and whatever comes of it, the log says which."""
        telemetry.bind(**named(signal, is_known=False))
        return self.load.carrying_out(urgency_of(RequestFrame(signal)))

    def _check_key(self, request: Request) -> None:
        """Raises NotAuthenticated."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if not key:
            raise NotAuthenticated("the API key is missing")
        if scheme.lower() != "bearer" or not is_known(key.strip(), self.keys):
            log.warning("wrong API key")
            raise NotAuthenticated("the API key is not valid")

    async def _carried_out(self, signal: Signal, sender: UserId, came_at: datetime) -> Response:
        received = Received(self.new_id(), self.clock(), received_at=came_at)
        verdict = await self.signaling.handle_of(signal, sender, received)
        log.info(
            "verdict",
            **named(signal, is_known=names_known_call(verdict)),
            outcome=verdict.outcome,
            latencyMs=latency_ms(came_at, self.clock()),
        )
        return said(verdict, signal)

    async def _call(self, id: str, request: Request) -> Response:
        """1 look at the token, and 1 BatchGetDocuments."""
        with self.load.carrying_out(Urgency.SOON):
            user = await self._user(request, None)
            stored = await self.calls.get(CallId(id)) if names_document(id) else None
        match stored.call if isinstance(stored, StoredCall) else stored:
            case Call() as call if call.parties(user):
                return JSONResponse(self._described(call))
            case UnreadableCall(users=users) if user in users:
                return said(UNREADABLE, None)
            case _:  # one answer for both, so that nobody can find out which call ids exist
                return said(NOT_FOUND, None)

    def _described(self, call: Call) -> dict[str, object]:
        ends = {"ringsUntil": _unix_ms(call.rings_until)} if call.rings_until else {}
        now = {"serverTime": _unix_ms(self.clock())}
        return {"callId": call.id, "status": call.status.value, **ends, **now}

    async def _user(self, request: Request, token: object) -> UserId:
        """Whose the request is. Raises NotAuthenticated and IdentityUnavailable."""
        header = request.headers.get("authorization", "")
        scheme, _, rest = header.partition(" ")
        if rest and scheme.lower() != "bearer":
            raise NotAuthenticated("the token is not valid: it must be shown as Bearer")
        in_body = token if isinstance(token, str) else None
        return await verified(self.identity, header or in_body)


def _signal_in(content: dict[str, Any]) -> Signal:
    """Raises InvalidRequest."""
    event = content.get("event")
    if isinstance(event, str) and event not in SIGNALS:
        raise InvalidRequest("event", f"event must be one of {', '.join(SIGNALS)}")
    request = parse(event, content.get("data"))
    assert isinstance(request, Signal)  # noqa: S101 - as its event says
    return request


async def _content_of(request: Request) -> dict[str, Any] | Response:
    """The object that the body is; the reply, if it did not come. Raises InvalidRequest."""
    body = await body_of(request)
    if isinstance(body, Response):
        verdict = invalid("body", "it is too large, too slow or cut off")
        return said(verdict, None, body.status_code)
    try:
        content = loads(body.decode())
    except (NotJson, UnicodeDecodeError):
        content = None
    if not isinstance(content, dict):
        raise InvalidRequest("body", "the body must be a JSON object")
    return content


async def _openapi(_: Request) -> Response:
    from functions.inbound.openapi import DESCRIPTION

    return JSONResponse(DESCRIPTION)


def _unix_ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
