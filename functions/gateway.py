"""The function `gateway`: API Gateway forwards each request here, and the client gets the reply."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from functions import telemetry
from functions.calling import calling
from functions.calls.call import ConnectionId, SignalId
from functions.delivery.relay import Relaying
from functions.inbound.forwarding import Forwarding
from functions.inbound.frames import Frames, new_signal_id
from functions.inbound.http import Handler
from functions.inbound.load import Load
from functions.inbound.rate import FrameRate
from functions.inbound.sessions import Sessions
from functions.ports.clock import Clock, system_clock
from functions.ports.identity import Identity
from functions.ports.publisher import Publisher
from functions.ports.sockets import Sockets
from functions.ports.store import Store
from functions.services import apigateway, firestore, identity, pubsub, ring_tokens
from functions.sessions.accept import Acceptance
from functions.sessions.admit import Admission
from functions.sessions.close import Closing
from functions.sessions.closed import publish_closed
from functions.sessions.ringaccess import RingAccess
from functions.settings import GatewaySettings
from functions.warmup import WarmUp


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
    has_grace = bool(settings.caller_grace)
    shared = calling(settings, store, sockets, publisher, clock, notes_callers=has_grace)
    closing, load = Closing(connections, sockets, clock), Load(settings.requests_at_once)
    ring_access = RingAccess(ring_tokens.connect(settings), store.calls, clock)
    frames = Frames(
        shared.codecs,
        shared.signaling,
        shared.initiating,
        Relaying(store, sockets, shared.codecs, clock, settings.direct_post_timeout),
        shared.registration,
        Admission(
            connections,
            publisher,
            identity,
            ring_access,
            closing,
            clock,
            ttl,
            settings.dialect.namespaces,
        ),
        closing,
        FrameRate(settings.frames_per_second),
        load,
        clock,
        new_id,
        settings.dialect.ids,
    )

    async def tell_closed(id: ConnectionId) -> None:
        await publish_closed(publisher, id, clock())

    acceptance = Acceptance(connections, publisher, identity, ring_access, clock, ttl)
    sessions = Sessions(acceptance, closing, load, tell_closed if has_grace else None)
    secrets = [each for each in (settings.gateway_secret, settings.gateway_secret_previous) if each]
    forwarding = Forwarding(secrets, frames, sessions)
    warm_up = WarmUp(store.calls.warm_up, sockets.warm_up, publisher.warm_up, identity.warm_up)

    @warm_up.on_get
    async def gateway(request: Request) -> Response:
        """Takes a request that API Gateway forwards."""
        with telemetry.request(settings.project, request.headers.get("traceparent")):
            return await forwarding.reply(request)

    return gateway
