"""The function `api`, over HTTPS: for apps whose socket is down or whose page is left, and for
their backends."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from functions import telemetry
from functions.calls.call import SignalId
from functions.calls.transitions import PushPolicy
from functions.delivery.commit import Committer
from functions.delivery.ringing import Ringing
from functions.delivery.signaling import Signaling
from functions.inbound.api import Api
from functions.inbound.asking import Asking
from functions.inbound.calls import CallRequests
from functions.inbound.frames import new_signal_id
from functions.inbound.http import Handler
from functions.inbound.load import Load
from functions.ports.clock import Clock, system_clock
from functions.ports.identity import Identity
from functions.ports.publisher import Publisher
from functions.ports.sockets import Sockets
from functions.ports.store import Store
from functions.services import apigateway, firestore, identity, pubsub
from functions.settings import ApiSettings
from functions.warmup import WarmUp
from functions.wire.codecs import Codecs


def build(settings: ApiSettings) -> Handler:
    """Builds the function on the real services, as it is deployed."""
    return handler(
        settings,
        firestore.connect(settings),
        apigateway.connect(settings),
        pubsub.connect(settings),
        identity.connect(settings),
    )


def handler(
    settings: ApiSettings,
    store: Store,
    sockets: Sockets,
    publisher: Publisher,
    identity: Identity,
    clock: Clock = system_clock,
    new_id: Callable[[], SignalId] = new_signal_id,
) -> Handler:
    """Builds the function on the given ports."""
    timeout = settings.direct_post_timeout
    keys = [key for key in (settings.api_key, settings.api_key_previous) if key]
    asking, load = Asking(identity, keys), Load(settings.requests_at_once)
    codecs = Codecs(settings.dialect)
    committer = Committer(store, sockets, codecs, publisher, clock, direct_post_timeout=timeout)
    pushes = PushPolicy()
    signaling = Signaling(store.calls, committer, clock, pushes)
    ringing = Ringing(store.calls, committer, clock, pushes, settings.call_ttl)
    interface = Api(
        [
            CallRequests(
                signaling,
                ringing,
                store.calls,
                asking,
                load,
                clock,
                new_id,
                settings.ring_seconds,
                settings.dialect,
            )
        ],
        settings.cors_origins,
    )
    warm_up = WarmUp(store.calls.warm_up, sockets.warm_up, publisher.warm_up, identity.warm_up)

    async def api(request: Request) -> Response:
        """Takes a request of an app. A GET of the root warms the instance up."""
        with telemetry.request(settings.project, request.headers.get("traceparent")):
            if (request.method, request.scope["path"]) == ("GET", "/"):
                return await warm_up.reply()
            return await interface.reply(request)

    return api
