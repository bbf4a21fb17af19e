"""The HTTP side of the socket server that a backend had before: its paths, secret and answers.

They are that server's contract, which docs/api.md writes down, and no part of openapi.py.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions import telemetry
from functions.calls.call import SignalId
from functions.calls.decision import UNAVAILABLE, Verdict
from functions.calls.transitions import Signal
from functions.delivery.commit import Received
from functions.delivery.emit import NOT_CONNECTED, TOLD, Emit, Emitter
from functions.dialect.dialect import Ids
from functions.inbound.asking import content_of
from functions.inbound.load import Load, urgency_of
from functions.inbound.naming import named, names_known_call
from functions.inbound.replies import Reply, answered, replied, status_of
from functions.inbound.secrets import is_known
from functions.ports.clock import Clock
from functions.ports.identity import NotAuthenticated
from functions.telemetry import Log, latency_ms
from functions.wire.frames import RequestFrame
from functions.wire.requests import parse, user_in, with_digits

_HEADER = "X-Internal-Secret"

log = Log(__name__)


@dataclass(frozen=True, slots=True)
class _Path:
    """What a path is for: the signal, and which field of the body names whom."""

    signal: str
    told: str
    sender: str  # need not be there


_PATHS = {
    "call-cancelled": _Path("call:cancel", told="receiverId", sender="callerId"),
    "call-accepted": _Path("call:accept", told="callerId", sender="receiverId"),
}


@dataclass(frozen=True, slots=True)
class EmitRequests:
    """Replies at `/api/emit/…` and `/health`."""

    emitter: Emitter
    secrets: Collection[str]  # of the backend
    load: Load
    clock: Clock
    new_id: Callable[[], SignalId]
    ids: Ids

    def at(self, steps: Sequence[str]) -> Mapping[str, Reply]:
        match steps:
            case ["health"]:
                return {"GET": _health}
            case ["api", "emit", str(last)] if last in _PATHS:
                reply = partial(self._emit, _PATHS[last])
                return {"POST": partial(answered, reply, said=_refused)}
            case _:
                return {}

    async def _emit(self, path: _Path, request: Request) -> Response:
        """What the emit costs. A body without the secret is not waited for."""
        self._check_secret(request)
        came_at = self.clock()
        content = await content_of(request)
        if isinstance(content, Response):
            return _answer(content.status_code, "the body is too large, too slow or cut off")
        asked = _asked(path, content, self.ids)
        telemetry.bind(**named(asked.signal, is_known=False))
        with self.load.carrying_out(urgency_of(RequestFrame(asked.signal))):
            received = Received(self.new_id(), self.clock(), received_at=came_at)
            verdict = await self.emitter.emit(asked, received)
        is_of_known_call = verdict not in (TOLD, NOT_CONNECTED) and names_known_call(verdict)
        log.info(
            "verdict",
            **named(asked.signal, is_known=is_of_known_call),
            outcome=verdict.outcome,
            cause=verdict.cause,
            latencyMs=latency_ms(came_at, self.clock()),
        )
        if verdict == UNAVAILABLE:
            return _refused(verdict)
        return _answer(200, None if verdict.ok else verdict.outcome)

    def _check_secret(self, request: Request) -> None:
        """Raises NotAuthenticated if the app's backend is not who asks."""
        given = request.headers.get(_HEADER)
        if not given:
            raise NotAuthenticated(f"{_HEADER} is missing")
        if not is_known(given, self.secrets):
            log.warning("wrong internal secret")
            raise NotAuthenticated(f"{_HEADER} is not valid")


def _asked(path: _Path, content: dict[str, Any], ids: Ids) -> Emit:
    """Raises InvalidRequest."""
    call = ids.call_in(with_digits(content, "callId")["callId"])
    signal = parse(path.signal, {**content, "callId": call})
    assert isinstance(signal, Signal)  # noqa: S101 - as its event says
    is_sender_named = content.get(path.sender) is not None
    # What the old server told nobody: his own phone may hear of it before it has its answer.
    signal = replace(signal, tells_elsewhere=False)
    return Emit(
        signal,
        told=user_in(content, path.told),
        sender=user_in(content, path.sender) if is_sender_named else None,
    )


def _refused(verdict: Verdict) -> Response:
    return _answer(status_of(verdict), verdict.message or verdict.outcome)


def _answer(status: int, reason: str | None) -> Response:
    """A backend takes any status but 200 for a failure of its own request, so 200 is whatever a
    repeat would not change; `emitted` says whether it was done, and `reason` why not."""
    why = {} if reason is None else {"reason": reason}
    return replied({"success": status == 200, "emitted": reason is None, **why}, status)


async def _health(_: Request) -> Response:
    """Costs nothing: it tells that the function runs. A GET of the root asks the services too."""
    return JSONResponse({"status": "ok"})
