"""`gateway`: every frame of every client enters here; the HTTP reply is what its sender gets."""

import hmac
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

import functions_framework.aio
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions import settings, telemetry
from functions.calls.call import ConnectionId, SignalId, UserId, names_document
from functions.calls.decision import UNAVAILABLE, Verdict, invalid
from functions.calls.signals import Signal
from functions.services import apigateway, firestore, identity, pubsub
from functions.services.documents import Connection
from functions.services.firestore import Store, StoreUnavailable
from functions.services.identity import Identity, IdentityUnavailable, NotAuthenticated
from functions.settings import Settings
from functions.signaling import UNKNOWN_CONNECTION, Received, Signaling
from functions.telemetry import Log
from functions.warmup import WarmUp
from functions.wire import json
from functions.wire.frames import Event, Malformed, RegisterDevice, UnregisterDevice, Wire

log = Log(__name__)


@functions_framework.aio.http
async def gateway(request: Request) -> Response:
    """Takes what API Gateway forwards; a GET warms the instance up."""
    loaded = _settings()
    if request.method == "GET":
        return await _gateway().warm_up.answer()
    if not _is_from_api_gateway(request.headers, loaded):
        log.warning("wrong gateway secret", outcome="forbidden")
        return _refusal(403, "Forbidden")
    try:
        forwarded = Forwarded.read(request.headers)
    except ValueError as error:
        log.error("not mapped as expected", error=str(error))
        return _refusal(400, str(error))
    with telemetry.request(
        loaded.project, request.headers.get("traceparent"), connectionId=forwarded.connection
    ):
        match forwarded.event_type:
            case "CONNECT":
                return await _gateway().connect(forwarded)
            case "MESSAGE":
                return await _gateway().message(forwarded, await request.body())
            case "DISCONNECT":
                return await _gateway().disconnect(forwarded)
            case other:
                return _refusal(400, f"event type {other!r} is not known")


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What API Gateway says about a request, in the headers that its routes map."""

    connection: ConnectionId
    event_type: str
    requested: datetime | None  # when API Gateway got it
    token: str | None  # on CONNECT: the client's ID token
    user: str | None  # on CONNECT: who the client says it is

    @classmethod
    def read(cls, headers: Headers) -> "Forwarded":
        """Raises ValueError, naming the header that is missing, given twice or makes no sense."""
        connection = _required(headers, "unring-connection-id")
        if not names_document(connection):
            raise ValueError("unring-connection-id is no connection id")
        return cls(
            connection=ConnectionId(connection),
            event_type=_required(headers, "unring-event-type"),
            requested=_moment(_mapped(headers, "unring-request-time")),
            token=_bearer(_mapped(headers, "unring-authorization"))
            or _mapped(headers, "unring-token"),
            user=_mapped(headers, "unring-user-id"),
        )


class Gateway:
    """Opens and closes connections, and answers frames."""

    def __init__(
        self, store: Store, identity: Identity, signaling: Signaling, settings: Settings
    ) -> None:
        self._store = store
        self._identity = identity
        self._signaling = signaling
        self._settings = settings
        self.warm_up = WarmUp(store.warm_up, identity.warm_up, signaling.warm_up)

    async def connect(self, forwarded: Forwarded) -> Response:
        """200 accepts the socket; 401, 503: API Gateway refuses the handshake with the same."""
        now = datetime.now(UTC)
        try:
            user = await self._authenticate(forwarded)
            connection = Connection(
                id=forwarded.connection,
                user=user,
                wire=Wire.JSON,
                connected_at=now,
                expires_at=now + self._settings.connection_ttl,
            )
            await self._store.open_connection(connection)
        except NotAuthenticated as error:
            log.info("connect", outcome="unauthenticated")
            return _refusal(401, str(error))
        except (IdentityUnavailable, StoreUnavailable) as error:
            log.error("connect", outcome="unavailable", error=str(error))
            return _refusal(503, "unavailable")
        log.info("connect", outcome="connected", wire=connection.wire)
        return JSONResponse({"message": "connected"})

    async def disconnect(self, forwarded: Forwarded) -> Response:
        try:
            await self._store.close_connection(forwarded.connection)
        except StoreUnavailable as error:
            # API Gateway won't ask again; what stays expires, and a POST to it answers 410.
            log.error("disconnect", outcome="unavailable", error=str(error))
            return _refusal(503, "unavailable")
        log.info("disconnect", outcome="disconnected")
        return JSONResponse({"message": "disconnected"})

    async def message(self, forwarded: Forwarded, body: bytes) -> Response:
        """Always 200 with a frame: on anything else API Gateway sends one of its own."""
        frame = json.decode(body)
        match frame:
            case Malformed(field, message, ack):
                log.info("frame", outcome="invalid", field=field)
                answer = json.encode_answer(invalid(field, message), None, ack)
            case Event(request, ack):
                verdict = await self._verdict(forwarded, request)
                answer = json.encode_answer(verdict, request, ack)
        return Response(answer, media_type="application/json")

    async def _verdict(
        self, forwarded: Forwarded, request: Signal | RegisterDevice | UnregisterDevice
    ) -> Verdict:
        try:
            match request:
                case Signal():
                    return await self._signaling.handle(request, _received(forwarded))
                case RegisterDevice() | UnregisterDevice():
                    return await self._device(forwarded.connection, request)
        except Exception:  # a 5xx would reach the client as API Gateway's own error frame
            log.exception("frame failed", outcome="unavailable")
            return UNAVAILABLE

    async def _device(
        self, connection: ConnectionId, request: RegisterDevice | UnregisterDevice
    ) -> Verdict:
        now = datetime.now(UTC)
        try:
            sender = await self._store.connection(connection, now)
            if sender is None:
                return UNKNOWN_CONNECTION
            match request:
                case RegisterDevice():
                    expires = now + self._settings.device_ttl
                    await self._store.register_device(sender.user, request, now, expires)
                    verdict = Verdict(ok=True, outcome="registered")
                case UnregisterDevice(token):
                    await self._store.unregister_device(sender.user, token)
                    verdict = Verdict(ok=True, outcome="unregistered")
        except StoreUnavailable as error:
            log.error("device", outcome="unavailable", error=str(error))
            return UNAVAILABLE
        log.info("device", outcome=verdict.outcome)
        return verdict

    async def _authenticate(self, forwarded: Forwarded) -> UserId:
        if forwarded.token is None:
            raise NotAuthenticated("the token is missing")
        user = await self._identity.verify(forwarded.token)
        if forwarded.user not in (None, user):
            raise NotAuthenticated("userId is not the token's")
        return user


def _is_from_api_gateway(headers: Headers, loaded: Settings) -> bool:
    """Whether the secret is one of the two accepted, compared in constant time."""
    given = headers.getlist("unring-secret")
    accepted = (loaded.gateway_secret, loaded.gateway_secret_previous)
    matches = [
        hmac.compare_digest(secret.encode(), value.encode())
        for secret in accepted
        if secret is not None
        for value in given
    ]
    return len(given) == 1 and any(matches)


def _required(headers: Headers, name: str) -> str:
    value = _mapped(headers, name)
    if value is None:
        raise ValueError(f"{name} is missing")
    return value


def _mapped(headers: Headers, name: str) -> str | None:
    """One mapped header. A client can send the same name: then it comes twice, or joined."""
    values = headers.getlist(name)
    if len(values) > 1 or any("," in value for value in values):
        raise ValueError(f"{name} was given more than once")
    return values[0] if values and values[0] else None


def _bearer(authorization: str | None) -> str | None:
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _moment(epoch_ms: str | None) -> datetime | None:
    if epoch_ms is None or not epoch_ms.isdecimal() or len(epoch_ms) > len("1700000000000"):
        return None
    return datetime.fromtimestamp(int(epoch_ms) / 1000, UTC)


def _received(forwarded: Forwarded) -> Received:
    return Received(
        connection=forwarded.connection,
        signal_id=SignalId(uuid.uuid4().hex),
        now=datetime.now(UTC),
        requested=forwarded.requested,
    )


def _refusal(status: int, message: str) -> Response:
    return JSONResponse({"message": message}, status_code=status)


@cache
def _settings() -> Settings:
    return settings.load("gateway")


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
    return Gateway(store, identity.connect(loaded), signaling, loaded)
