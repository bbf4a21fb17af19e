"""The function `gateway`: API Gateway forwards each request here, and the client gets the reply."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from functions import telemetry
from functions.calls.call import SignalId
from functions.delivery.signaling import Signaling
from functions.inbound.apigateway import Forwarded, NotMapped, is_from_api_gateway
from functions.inbound.frames import Frames, new_signal_id
from functions.inbound.http import Handler, body_of, refusal
from functions.inbound.sessions import Sessions
from functions.ports.clock import Clock, system_clock
from functions.ports.identity import Identity
from functions.ports.publisher import Publisher
from functions.ports.sockets import Sockets
from functions.ports.store import Store
from functions.services import apigateway, firestore, identity, pubsub
from functions.sessions.accept import Acceptance
from functions.sessions.admit import Admission
from functions.sessions.close import Closing
from functions.sessions.registration import Registration
from functions.settings import GatewaySettings
from functions.telemetry import Log
from functions.warmup import WarmUp

log = Log(__name__)


def build(settings: GatewaySettings) -> Handler:
    """Builds the function on the real services, as it is deployed."""
    return handler(
        settings,
        firestore.connect(settings),
        apigateway.connect(settings),
        pubsub.connect(settings),
        identity.connect(settings),
    )


def handler(
    settings: GatewaySettings,
    store: Store,
    sockets: Sockets,
    publisher: Publisher,
    identity: Identity,
    clock: Clock = system_clock,
    new_id: Callable[[], SignalId] = new_signal_id,
) -> Handler:
    """Builds the function on the given ports."""
    connections, ttl = store.connections, settings.connection_ttl
    timeout = settings.direct_post_timeout
    closing = Closing(connections, clock)
    frames = Frames(
        Signaling(store, sockets, publisher, clock, direct_post_timeout=timeout),
        Registration(connections, store.devices, clock, settings.device_ttl),
        Admission(connections, publisher, identity, closing, clock, ttl),
        closing,
        clock,
        new_id,
    )
    sessions = Sessions(Acceptance(connections, publisher, identity, clock, ttl), closing)
    secrets = [each for each in (settings.gateway_secret, settings.gateway_secret_previous) if each]
    warm_up = WarmUp(store.calls.warm_up, sockets.warm_up, publisher.warm_up, identity.warm_up)

    async def gateway(request: Request) -> Response:
        """Takes a request that API Gateway forwards; a GET warms the instance up."""
        if request.method == "GET":
            return await warm_up.reply()
        with telemetry.request(settings.project, request.headers.get("traceparent")):
            # Read the body before checking the secret: uvicorn would answer a malformed one itself.
            body = await body_of(request)
            if isinstance(body, Response):
                log.warning("body refused", outcome="invalid", status=body.status_code)
                return body
            if not is_from_api_gateway(request.headers, secrets):
                log.warning("wrong gateway secret", outcome="forbidden")
                return refusal(403, "Forbidden")
            try:
                forwarded = Forwarded.read(request.headers)
            except NotMapped as error:
                log.error("not mapped as expected", outcome="invalid", error=str(error))
                return refusal(400, str(error))
            telemetry.bind(connectionId=forwarded.connection)
            match forwarded.event_type:
                case "MESSAGE":
                    reply = await frames.reply(forwarded.connection, forwarded.received_at, body)
                    return Response(reply, media_type="application/json")
                case "CONNECT":
                    return await sessions.connect(forwarded.connection, request.headers)
                case "DISCONNECT":
                    return await sessions.disconnect(forwarded.connection)
                case other:
                    return refusal(400, f"event type {other!r} is not known")

    return gateway
