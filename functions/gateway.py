"""The function `gateway`: API Gateway forwards each request here, and the client gets the reply."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from functions import telemetry
from functions.calls.call import SignalId
from functions.framing import framing
from functions.inbound.forwarding import Forwarding
from functions.inbound.frames import new_signal_id
from functions.inbound.http import Handler
from functions.ports.clock import Clock, system_clock
from functions.ports.identity import Identity
from functions.ports.publisher import Publisher
from functions.ports.sockets import Sockets
from functions.ports.store import Store
from functions.services import firestore, identity, pubsub, ring_tokens, transports
from functions.settings import GatewaySettings
from functions.warmup import WarmUp


def build(settings: GatewaySettings) -> Handler:
    """Builds the function on the real services, as it is deployed."""
    store = firestore.connect(settings)
    return handler(
        settings,
        store,
        transports.connect(settings, store),
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
    tokens = ring_tokens.connect(settings)
    framed = framing(settings, store, sockets, publisher, identity, tokens, clock, new_id)
    secrets = [each for each in (settings.gateway_secret, settings.gateway_secret_previous) if each]
    forwarding = Forwarding(secrets, framed.frames, framed.sessions)
    warm_up = WarmUp(store.calls.warm_up, sockets.warm_up, publisher.warm_up, identity.warm_up)

    @warm_up.on_get
    async def gateway(request: Request) -> Response:
        """Takes a request that API Gateway forwards."""
        with telemetry.request(settings.project, request.headers.get("traceparent")):
            return await forwarding.reply(request)

    return gateway
