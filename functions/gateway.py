"""`gateway`: every frame of every client enters here; the HTTP reply is what its sender gets."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions import settings, telemetry, warmup
from functions.calls.call import SignalId, UserId
from functions.calls.decision import UNAVAILABLE, Verdict, invalid
from functions.calls.signals import Signal
from functions.forwarded import Credentials, Forwarded, NotMapped, is_from_api_gateway
from functions.services import apigateway, firestore, identity, pubsub
from functions.services.documents import Connection
from functions.services.firestore import Store, StoreUnavailable
from functions.services.identity import Identity, IdentityUnavailable, NotAuthenticated
from functions.settings import Settings
from functions.signaling import UNKNOWN_CONNECTION, Received, Signaling
from functions.telemetry import Log, latency_ms
from functions.wire import frames, json
from functions.wire.frames import Event, Malformed, RegisterDevice, UnregisterDevice, Wire

log = Log(__name__)


@functions_framework.aio.http
async def gateway(request: Request) -> Response:
    """Takes what API Gateway forwards; a GET warms the instance up."""
    if request.method == "GET":
        return await _WARM_UP.answer()
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
        return await _handle(forwarded, request)


async def _handle(forwarded: Forwarded, request: Request) -> Response:
    match forwarded.event_type:
        case "MESSAGE":
            return await _message(forwarded, await request.body())
        case "CONNECT":
            return await _connect(forwarded, request)
        case "DISCONNECT":
            return await _disconnect(forwarded)
        case other:
            return _refusal(400, f"event type {other!r} is not known")


async def _message(forwarded: Forwarded, body: bytes) -> Response:
    """Always 200 with a frame: on anything else API Gateway sends one of its own."""
    match json.decode(body):
        case Malformed(field, message, ack):
            latency = latency_ms(forwarded.requested, datetime.now(UTC))
            log.info("frame", outcome="invalid", field=field, latencyMs=latency)
            answer = json.encode_answer(invalid(field, message), None, ack)
        case Event(request, ack):
            verdict = await _verdict(forwarded, request)
            answer = json.encode_answer(verdict, request, ack)
    return Response(answer, media_type="application/json")


async def _verdict(forwarded: Forwarded, request: frames.Request) -> Verdict:
    try:
        verdict = await _gateway().verdict(forwarded, request)
    except StoreUnavailable as error:
        log.error("frame failed", error=str(error))
        verdict = UNAVAILABLE
    except Exception:  # a 5xx would reach the client as API Gateway's own error frame
        log.exception("frame failed")
        verdict = UNAVAILABLE
    latency = latency_ms(forwarded.requested, datetime.now(UTC))
    log.info("verdict", **_names(request), outcome=verdict.outcome, latencyMs=latency)
    return verdict


async def _connect(forwarded: Forwarded, request: Request) -> Response:
    """200 accepts the socket; with 401 or 503, API Gateway refuses the handshake with the same."""
    try:
        await _gateway().connect(forwarded, Credentials.read(request.headers))
    except (NotAuthenticated, NotMapped) as error:
        log.info("connect", outcome="unauthenticated")
        return _refusal(401, str(error))
    except (IdentityUnavailable, StoreUnavailable) as error:
        log.error("connect", outcome="unavailable", error=str(error))
        return _refusal(503, "unavailable")
    except Exception:  # the client can come again, so it is told to
        log.exception("connect", outcome="unavailable")
        return _refusal(503, "unavailable")
    log.info("connect", outcome="connected")
    return JSONResponse({"message": "connected"})


async def _disconnect(forwarded: Forwarded) -> Response:
    try:
        await _gateway().disconnect(forwarded)
    except Exception:  # nobody asks again: what stays expires, and a POST to it answers 410
        log.exception("disconnect", outcome="unavailable")
        return _refusal(503, "unavailable")
    log.info("disconnect", outcome="disconnected")
    return JSONResponse({"message": "disconnected"})


class Gateway:
    """Opens and closes connections, and has requests carried out."""

    def __init__(
        self, store: Store, identity: Identity, signaling: Signaling, settings: Settings
    ) -> None:
        self._store = store
        self._identity = identity
        self._signaling = signaling
        self._settings = settings

    def warm_up_steps(self) -> Sequence[warmup.Step]:
        return (self._store.warm_up, self._identity.warm_up, *self._signaling.warm_up_steps())

    async def connect(self, forwarded: Forwarded, credentials: Credentials) -> None:
        """1 Commit. Raises NotAuthenticated, IdentityUnavailable and StoreUnavailable."""
        now = datetime.now(UTC)
        connection = Connection(
            id=forwarded.connection,
            user=await self._authenticate(credentials),
            wire=Wire.JSON,
            connected_at=now,
            expires_at=now + self._settings.connection_ttl,
        )
        await self._store.open_connection(connection)

    async def disconnect(self, forwarded: Forwarded) -> None:
        """1 Commit. Raises StoreUnavailable."""
        await self._store.close_connection(forwarded.connection)

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
        sender = await self._store.connection(forwarded.connection, now)
        if sender is None:
            return UNKNOWN_CONNECTION
        match request:
            case RegisterDevice():
                expires = now + self._settings.device_ttl
                await self._store.register_device(sender.user, request, now, expires)
                return Verdict(ok=True, outcome="registered")
            case UnregisterDevice(token):
                await self._store.unregister_device(sender.user, token)
                return Verdict(ok=True, outcome="unregistered")

    async def _authenticate(self, credentials: Credentials) -> UserId:
        if credentials.token is None:
            raise NotAuthenticated("the token is missing")
        user = await self._identity.verify(credentials.token)
        if credentials.user not in (None, user):
            raise NotAuthenticated("userId is not the token's")
        return user


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
        case Signal(rule, call_id):
            return {"request": rule.signal, "callId": call_id}
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
def _gateway() -> Gateway:
    loaded = _settings()
    store = firestore.connect(loaded)
    signaling = Signaling(
        store,
        apigateway.connect(loaded),
        pubsub.connect(loaded),
        event_ttl=loaded.event_ttl,
        direct_post_timeout=loaded.direct_post_timeout,
    )
    # Last, as a Firebase app can't be made twice: what failed before it is tried again.
    return Gateway(store, identity.connect(loaded), signaling, loaded)


_WARM_UP = warmup.WarmUp(lambda: _gateway().warm_up_steps())
