"""`gateway`: every frame of every client enters here; the HTTP reply is what its sender gets."""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

import functions_framework.aio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from functions import settings, telemetry, warmup
from functions.calls.call import SignalId
from functions.calls.decision import UNAVAILABLE, Verdict, invalid
from functions.calls.transitions import Signal
from functions.forwarded import (
    Forwarded,
    Handshake,
    NotMapped,
    NotSupported,
    is_from_api_gateway,
)
from functions.sender import sender_of
from functions.services import apigateway, firestore, identity, pubsub
from functions.services.firestore import Store
from functions.services.identity import IdentityUnavailable, NotAuthenticated
from functions.services.pubsub import Publisher, PublishFailed
from functions.services.remote import StoreUnavailable
from functions.sessions import ClientGone, Sessions
from functions.settings import Settings
from functions.signaling import Received, Signaling
from functions.telemetry import Log, latency_ms
from functions.wire import frames, socketio
from functions.wire.codecs import Codec, codec_of
from functions.wire.frames import (
    Connect,
    Event,
    Goodbye,
    Ignored,
    Malformed,
    Ping,
    RegisterDevice,
    UnregisterDevice,
)

_BODY_SECONDS = 2.0  # API Gateway sends it with the headers
_MAX_BODY_BYTES = 1024 * 1024  # API Gateway forwards an eighth of it at most

log = Log(__name__)


@functions_framework.aio.http
async def gateway(request: Request) -> Response:
    """Takes what API Gateway forwards; a GET warms the instance up."""
    if request.method == "GET":
        return await _WARM_UP.answer()
    try:
        # Also of who is refused: what it can't read, the server would answer for itself meanwhile.
        async with asyncio.timeout(_BODY_SECONDS):
            body = await _body(request)
    except TimeoutError:
        return _refusal(408, "the request is too slow")
    except ClientDisconnect:
        return _refusal(400, "the request is cut off")
    except _TooLarge:
        return _refusal(413, "the request is too large")
    with telemetry.request(_settings().project, request.headers.get("traceparent")):
        if not is_from_api_gateway(request.headers, _secrets()):
            log.warning("wrong gateway secret", outcome="forbidden")
            return _refusal(403, "Forbidden")
        try:
            forwarded = Forwarded.read(request.headers)
        except NotMapped as error:
            log.error("not mapped as expected", outcome="invalid", error=str(error))
            return _refusal(400, str(error))
        telemetry.bind(connectionId=forwarded.connection)
        return await _handle(forwarded, request, body)


class _TooLarge(Exception):
    """Nobody may make us keep in memory as much as they like."""


async def _body(request: Request) -> bytes:
    """Raises ClientDisconnect and _TooLarge."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            raise _TooLarge
    return bytes(body)


async def _handle(forwarded: Forwarded, request: Request, body: bytes) -> Response:
    match forwarded.event_type:
        case "MESSAGE":
            return await _message(forwarded, body)
        case "CONNECT":
            return await _connect(forwarded, request)
        case "DISCONNECT":
            return await _disconnect(forwarded)
        case other:
            return _refusal(400, f"event type {other!r} is not known")


async def _message(forwarded: Forwarded, body: bytes) -> Response:
    """Always 200 with a frame that isn't empty: else API Gateway or the client ends the session."""
    codec = codec_of(body)
    try:
        answer = await _answer(forwarded, codec, body)
    except Exception:  # a 5xx would reach the client as API Gateway's own error frame
        log.exception("frame failed")
        answer = codec.encode_answer(UNAVAILABLE, None, None)
    return Response(answer, media_type="application/json")


async def _answer(forwarded: Forwarded, codec: Codec, body: bytes) -> str:
    match codec.decode(body):
        case Event(request, ack):
            return codec.encode_answer(await _verdict(forwarded, request), request, ack)
        case Malformed(field, message, ack):
            latency = latency_ms(forwarded.requested, datetime.now(UTC))
            log.info("frame", outcome="invalid", field=field, latencyMs=latency)
            return codec.encode_answer(invalid(field, message), None, ack)
        case Connect() as request:
            return await _let_in(forwarded, request)
        case Goodbye():
            return await _leave(forwarded)
        case Ping(payload):
            return socketio.encode_pong(payload)
        case Ignored():
            return socketio.NOOP


async def _verdict(forwarded: Forwarded, request: frames.Request) -> Verdict:
    try:
        verdict = await _gateway().verdict(forwarded, request)
    except StoreUnavailable as error:
        log.error("frame failed", error=str(error))
        verdict = UNAVAILABLE
    except Exception:  # the answer must still carry the frame's id
        log.exception("frame failed")
        verdict = UNAVAILABLE
    latency = latency_ms(forwarded.requested, datetime.now(UTC))
    log.info("verdict", **_names(request), outcome=verdict.outcome, latencyMs=latency)
    return verdict


async def _let_in(forwarded: Forwarded, request: Connect) -> str:
    """The packet for a client that asks to be let in; when nobody can say, it is to come again."""
    try:
        return await _sessions().admit(forwarded.connection, request, forwarded.requested)
    except (IdentityUnavailable, StoreUnavailable) as error:
        log.error("let in", outcome="unavailable", error=str(error))
    except Exception:  # a connect error would keep the client out for good
        log.exception("let in", outcome="unavailable")
    return socketio.RECONNECT


async def _leave(forwarded: Forwarded) -> str:
    try:
        answer = await _sessions().leave(forwarded.connection, forwarded.requested)
        log.info("goodbye", outcome="left")
        return answer
    except StoreUnavailable as error:
        # It waits for no answer. As a rule its `$disconnect` follows, which ends the same.
        log.error("goodbye", outcome="unavailable", error=str(error))
    return socketio.NOOP


async def _connect(forwarded: Forwarded, request: Request) -> Response:
    """200 accepts the socket; with another status, API Gateway refuses the handshake with it."""
    try:
        handshake = Handshake.read(request.headers)
        await _sessions().open(forwarded.connection, handshake)
    except NotSupported as error:
        log.info("connect", outcome="invalid")
        return _refusal(400, str(error))
    except (NotAuthenticated, NotMapped) as error:
        log.info("connect", outcome="unauthenticated")
        return _refusal(401, str(error))
    except ClientGone as error:
        log.info("connect", outcome="gone")
        return _refusal(410, str(error))
    except (IdentityUnavailable, StoreUnavailable, PublishFailed) as error:
        log.error("connect", outcome="unavailable", error=str(error))
        return _refusal(503, "unavailable")
    except Exception:  # the client can come again, so it is told to
        log.exception("connect", outcome="unavailable")
        return _refusal(503, "unavailable")
    log.info("connect", outcome="connected")
    return JSONResponse({"message": "connected"})


async def _disconnect(forwarded: Forwarded) -> Response:
    try:
        await _sessions().close(forwarded.connection)
    # Nobody asks again: what stays expires, and a POST to it answers 410.
    except StoreUnavailable as error:
        log.error("disconnect", outcome="unavailable", error=str(error))
        return _refusal(503, "unavailable")
    except Exception:
        log.exception("disconnect", outcome="unavailable")
        return _refusal(503, "unavailable")
    log.info("disconnect", outcome="disconnected")
    return JSONResponse({"message": "disconnected"})


class Gateway:
    """Has the requests of clients carried out."""

    def __init__(self, store: Store, signaling: Signaling, device_ttl: timedelta) -> None:
        self._store = store
        self._signaling = signaling
        self._device_ttl = device_ttl

    def warm_up_steps(self) -> Sequence[warmup.Step]:
        return (self._store.warm_up, *self._signaling.warm_up_steps())

    async def verdict(self, forwarded: Forwarded, request: frames.Request) -> Verdict:
        """Carries `request` out. Raises StoreUnavailable."""
        match request:
            case Signal():
                return await self._signaling.handle(request, _received(forwarded))
            case RegisterDevice() | UnregisterDevice():
                return await self._device(forwarded, request)

    async def _device(
        self, forwarded: Forwarded, request: RegisterDevice | UnregisterDevice
    ) -> Verdict:
        now = datetime.now(UTC)
        connection = await self._store.connection(forwarded.connection, now)
        sender = sender_of(connection, forwarded.requested)
        if isinstance(sender, Verdict):
            return sender
        match request:
            case RegisterDevice():
                expires = now + self._device_ttl
                await self._store.register_device(sender, request, now, expires)
                return Verdict(ok=True, outcome="registered")
            case UnregisterDevice(token):
                await self._store.unregister_device(sender, token)
                return Verdict(ok=True, outcome="unregistered")


def _received(forwarded: Forwarded) -> Received:
    return Received(
        connection=forwarded.connection,
        signal_id=SignalId(uuid.uuid4().hex),
        now=datetime.now(UTC),
        requested=forwarded.requested,
    )


def _names(request: frames.Request) -> dict[str, object]:
    """What of a request may be logged."""
    match request:
        case Signal(name, call_id):
            return {"request": name, "callId": call_id}
        case RegisterDevice():
            return {"request": "device:register"}
        case UnregisterDevice():
            return {"request": "device:unregister"}


def _refusal(status: int, message: str) -> Response:
    return JSONResponse({"message": message}, status_code=status)


@cache
def _settings() -> Settings:
    return settings.load("gateway")


@cache
def _secrets() -> Sequence[str]:
    loaded = _settings()
    return [secret for secret in (loaded.gateway_secret, loaded.gateway_secret_previous) if secret]


@cache
def _store() -> Store:
    return firestore.connect(_settings())


@cache
def _publisher() -> Publisher:
    return pubsub.connect(_settings())


@cache
def _sessions() -> Sessions:
    # Last, as a Firebase app can't be made twice: what failed before it is tried again.
    store, publisher, loaded = _store(), _publisher(), _settings()
    return Sessions(store, publisher, identity.connect(loaded), loaded.connection_ttl)


@cache
def _gateway() -> Gateway:
    loaded = _settings()
    signaling = Signaling(
        _store(),
        apigateway.connect(loaded),
        _publisher(),
        direct_post_timeout=loaded.direct_post_timeout,
    )
    return Gateway(_store(), signaling, loaded.device_ttl)


def _warm_up_steps() -> Sequence[warmup.Step]:
    return (*_gateway().warm_up_steps(), *_sessions().warm_up_steps())


_WARM_UP = warmup.WarmUp(_warm_up_steps)
