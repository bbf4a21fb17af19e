"""Calls over HTTPS: signals of apps and, on behalf of users, of backends; and how a call stands."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions import telemetry
from functions.calls.call import (
    Actor,
    Call,
    CallId,
    SignalId,
    Status,
    UnreadableCall,
    UserId,
    names_document,
)
from functions.calls.decision import FORBIDDEN, NOT_FOUND, UNREADABLE, Verdict, invalid
from functions.calls.event import unix_ms
from functions.calls.ring import INITIATE, Initiate, Ring
from functions.calls.transitions import SIGNALS, Signal
from functions.clients.ringtoken import RingToken
from functions.delivery.commit import Received
from functions.delivery.initiating import Initiating
from functions.delivery.ringing import Ringing
from functions.delivery.signaling import Signaling
from functions.dialect.dialect import USUAL, Dialect
from functions.inbound.asking import Asking, content_of
from functions.inbound.frames import new_call_id
from functions.inbound.load import Load, Urgency, urgency_of
from functions.inbound.naming import named, names_known_call
from functions.inbound.replies import Reply, answered, replied, said, status_of
from functions.ports.clock import Clock
from functions.ports.identity import NotAuthenticated
from functions.ports.store import Calls, StoredCall
from functions.sessions.ringaccess import OVER, is_over
from functions.sessions.tokens import check_said
from functions.telemetry import Log, latency_ms
from functions.wire.frames import RequestFrame, call_of, is_initiate, reply_data
from functions.wire.requests import (
    InvalidRequest,
    asked_in,
    names_initiate,
    parse,
    ring_in,
    user_in,
    with_call_id,
)
from functions.wire.text import loads

# What a backend has done to a call, by the last step of the path.
_TAKEN = (*SIGNALS, INITIATE)
SIGNALS_BY_STEP = {signal.removeprefix("call:"): signal for signal in SIGNALS}

log = Log(__name__)


@dataclass(frozen=True, slots=True)
class CallRequests:
    """Replies at `/v1/signals` and `/v1/calls/…`."""

    signaling: Signaling
    initiating: Initiating
    ringing: Ringing
    calls: Calls
    asking: Asking
    load: Load
    clock: Clock
    new_id: Callable[[], SignalId]
    ring_seconds: int  # at most
    dialect: Dialect

    def at(self, steps: Sequence[str]) -> Mapping[str, Reply]:
        match steps:
            case ["v1", "signals"]:
                return {"POST": self._signal}
            case ["v1", "calls", str(call)] if call:
                return {"GET": partial(self._call, call), "PUT": partial(self._ring, call)}
            case ["v1", "calls", str(call), str(last)] if call and last in SIGNALS_BY_STEP:
                return {"POST": partial(self._on_behalf, call, SIGNALS_BY_STEP[last])}
            case _:
                return {}

    async def _signal(self, request: Request) -> Response:
        """1 look at the token, and what the signal costs."""
        came_at = self.clock()
        content = await content_of(request)
        if isinstance(content, Response):
            return content
        try:
            parsed = _request_in(content, self.dialect)
        except InvalidRequest as error:
            of_initiate = names_initiate(content.get("event"), self.dialect)
            verdict = invalid(error.field, error.message)
            return said(verdict, dialect=self.dialect, of_initiate=of_initiate)
        frame = RequestFrame(parsed, asked=asked_in(content["data"], self.dialect))
        frame = with_call_id(frame, new_call_id, self.dialect.ids)
        asked, of_initiate = frame.request, is_initiate(frame)
        assert isinstance(asked, Signal | Initiate)  # noqa: S101 - as `parsed` is
        say = partial(said, call=call_of(frame), dialect=self.dialect, of_initiate=of_initiate)

        answer = partial(self._of_app, asked, content.get("token"), came_at, say)
        # Whatever fails, the app is told the call's id, which may be ours: by it a repeat is safe.
        return await answered(answer, request, say)

    async def _of_app(
        self,
        asked: Signal | Initiate,
        token: object,
        came_at: datetime,
        say: Callable[[Verdict], Response],
        request: Request,
    ) -> Response:
        with self._begun(asked):
            # Where a page sends a beacon, which has no headers, the token is in the body.
            sender = await self.asking.user(request, token)
            carry = (
                partial(self.initiating.handle_of, asked, sender)
                if isinstance(asked, Initiate)
                else partial(self.signaling.handle_of, asked, sender.user)
            )
            return say(await self._carried_out(asked, carry, came_at))

    async def _ring(self, call: str, request: Request) -> Response:
        """What the ring costs. A body without the key is not waited for."""
        self.asking.check_backend(request)
        came_at = self.clock()
        content = await content_of(request)
        if isinstance(content, Response):
            return content
        ring = ring_in(call, content, self.ring_seconds, self.dialect)
        telemetry.bind(request="ring", callId=ring.call_id)
        with self.load.carrying_out(Urgency.SOON):
            received = Received(self.new_id(), self.clock(), received_at=came_at)
            verdict = await self.ringing.begin(ring, received)
        latency = latency_ms(came_at, self.clock())
        known = {"outcome": verdict.outcome, "cause": verdict.cause}
        log.info("verdict", **known, latencyMs=latency)
        reply = reply_data(verdict, self.dialect.ids.call_out(ring.call_id))
        if verdict.ok:
            reply |= self._for_phones(ring, verdict)
        return replied(reply, status_of(verdict))

    def _for_phones(self, ring: Ring, verdict: Verdict) -> dict[str, object]:
        """What a phone needs that the backend wakes by itself."""
        now, ends = self.clock(), verdict.rings_until
        known = {
            "sentAt": unix_ms(now),
            "expiresAt": unix_ms(ends) if ends else None,
            "ringToken": self.asking.ring_tokens.sign(RingToken(ring.call_id, ring.receiver), now),
        }
        return {name: value for name, value in known.items() if value is not None}

    async def _on_behalf(self, call: str, event: str, request: Request) -> Response:
        """What the signal costs. It is the backend's, or a woken phone's, whose body may be empty;
        a body with neither the key nor a ring token is not waited for."""
        token = self.asking.ring_token(request)
        if token is None:
            self.asking.check_backend(request)
        elif event != "call:reject":
            return said(replace(FORBIDDEN, message="a ring token may only reject"), None)
        came_at = self.clock()
        content = await content_of(request, may_be_empty=token is not None)
        if isinstance(content, Response):
            return content
        ids = self.dialect.ids
        signal = _signal_in({"event": event, "data": {**content, "callId": ids.call_in(call)}})
        sender = _sender(token, content)
        if token and signal.call_id != token.call:
            return said(NOT_FOUND, ids.call_out(signal.call_id))
        if token:
            by = Actor(None, token.device or signal.by.device, token.registration)
            signal = replace(signal, by=by)
        carry = (
            partial(self._by_ring_token, signal, token)
            if token
            else partial(self.signaling.handle_of, signal, sender)
        )
        with self._begun(signal):
            verdict = await self._carried_out(signal, carry, came_at)
        return said(verdict, ids.call_out(signal.call_id))

    async def _by_ring_token(self, signal: Signal, token: RingToken, received: Received) -> Verdict:
        """At the same costs as of a user. Raises the same, and NotAuthenticated for a call that is
        over for too long."""
        stored = await self.calls.get(token.call)
        if isinstance(stored, StoredCall) and is_over(stored, self.clock()):
            raise NotAuthenticated(OVER)
        return await self.signaling.handle_read(signal, token.user, stored, received)

    def _begun(self, asked: Signal | Initiate) -> AbstractContextManager[None]:
        """For as long as a request is carried out, and whatever comes of it, the log says which."""
        telemetry.bind(**named(asked, is_known=False))
        return self.load.carrying_out(urgency_of(RequestFrame(asked)))

    async def _carried_out(
        self,
        asked: Signal | Initiate,
        carry: Callable[[Received], Awaitable[Verdict]],
        came_at: datetime,
    ) -> Verdict:
        """The verdict to which `carry` comes."""
        verdict = await carry(Received(self.new_id(), self.clock(), received_at=came_at))
        log.info(
            "verdict",
            **named(asked, is_known=names_known_call(verdict)),
            outcome=verdict.outcome,
            cause=verdict.cause,
            latencyMs=latency_ms(came_at, self.clock()),
        )
        return verdict

    async def _call(self, id: str, request: Request) -> Response:
        """1 look at the token, and 1 BatchGetDocuments, which a ring token of another call does not
        cost."""
        asked = CallId(str(self.dialect.ids.call_in(id)))
        with self.load.carrying_out(Urgency.SOON):
            token = self.asking.ring_token(request)
            user = token.user if token else (await self.asking.user(request)).user
            is_readable = names_document(asked) and (token is None or token.call == asked)
            stored = await self.calls.get(asked) if is_readable else None
        match stored.call if isinstance(stored, StoredCall) else stored:
            case Call() as call if call.parties(user):
                if token and isinstance(stored, StoredCall) and is_over(stored, self.clock()):
                    raise NotAuthenticated(OVER)
                return JSONResponse(self._described(call))
            case UnreadableCall(users=users) if user in users:
                return said(UNREADABLE, None)
            case _:  # one answer for both, so that nobody can find out which call ids exist
                return said(NOT_FOUND, None)

    def _described(self, call: Call) -> dict[str, object]:
        rings = call.status is Status.RINGING
        known = {
            "cause": None if rings else call.cause,
            "ringsUntil": unix_ms(call.rings_until) if rings and call.rings_until else None,
            "data": loads(call.data) if rings and call.data else None,
        }
        described: dict[str, object] = {
            "callId": self.dialect.ids.call_out(call.id),
            "status": call.status.value,
        }
        described |= {name: value for name, value in known.items() if value is not None}
        return {**described, "serverTime": unix_ms(self.clock())}


def _sender(token: RingToken | None, content: Mapping[str, Any]) -> UserId:
    """Whom the ring token is for; without one, whom the backend names. Raises InvalidRequest, and
    NotAuthenticated for another than the token's."""
    if token is None:
        return user_in(content)
    if content.get("userId") is not None:
        check_said(token.user, user_in(content))
    return token.user


def _signal_in(content: dict[str, Any]) -> Signal:
    """Raises InvalidRequest."""
    request = _request_in(content, USUAL)
    assert isinstance(request, Signal)  # noqa: S101 - as its event says
    return request


def _request_in(content: dict[str, Any], dialect: Dialect) -> Signal | Initiate:
    """Raises InvalidRequest."""
    event = content.get("event")
    if isinstance(event, str) and dialect.events_in.get(event) not in _TAKEN:
        taken = (name for name, ours in dialect.events_in.items() if ours in _TAKEN)
        raise InvalidRequest("event", f"event must be one of {', '.join(taken)}")
    request = parse(event, content.get("data"), dialect)
    assert isinstance(request, Signal | Initiate)  # noqa: S101 - as its event says
    return request
