"""The function `api`, over HTTPS: for apps whose socket is down or whose page is left, and for
their backends."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from functions import telemetry
from functions.calls.call import SignalId
from functions.delivery.emit import Emitter
from functions.delivery.erasure import Erasure
from functions.framing import framing
from functions.inbound.api import Api, Part
from functions.inbound.asking import Asking
from functions.inbound.calls import CallRequests
from functions.inbound.emits import EmitRequests
from functions.inbound.frames import new_signal_id
from functions.inbound.http import Handler
from functions.inbound.rate import RequestRate
from functions.inbound.users import UserRequests
from functions.polling import polling
from functions.ports.clock import Clock, system_clock
from functions.ports.identity import Identity
from functions.ports.publisher import Publisher
from functions.ports.sockets import Sockets
from functions.ports.store import Store
from functions.services import firestore, identity, pubsub, ring_tokens, transports
from functions.sessions.signout import SignOut
from functions.settings import ApiSettings
from functions.warmup import WarmUp


def build(settings: ApiSettings) -> Handler:
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
    settings: ApiSettings,
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
    shared, load = framed.calling, framed.load
    keys, dialect = _set(settings.api_key, settings.api_key_previous), settings.dialect
    asking = Asking(identity, keys, RequestRate(settings.frames_per_second, clock), tokens)
    sign_out = SignOut(store.connections, sockets, clock)
    erasure = Erasure(store, shared.signaling, sign_out.is_everywhere, clock, new_id)
    parts: list[Part] = [
        CallRequests(
            shared.signaling,
            shared.initiating,
            shared.ringing,
            store.calls,
            asking,
            load,
            clock,
            new_id,
            settings.ring_seconds,
            dialect,
        ),
        UserRequests(store, sign_out, shared.registration, erasure, asking, load, clock),
        polling(settings, store, publisher, clock, framed),
    ]
    if settings.internal_secret:
        secrets = _set(settings.internal_secret, settings.internal_secret_previous)
        emitter = Emitter(store, sockets, shared.codecs, shared.signaling, clock)
        parts.append(EmitRequests(emitter, secrets, load, clock, new_id, dialect.ids))
    interface = Api(parts, settings.cors_origins)
    services = (store.calls, sockets, publisher, identity, tokens)
    warm_up = WarmUp(*(service.warm_up for service in services))

    async def api(request: Request) -> Response:
        """Takes a request of an app. A GET of the root warms the instance up."""
        with telemetry.request(settings.project, request.headers.get("traceparent")):
            if (request.method, request.scope["path"]) == ("GET", "/"):
                return await warm_up.reply()
            return await interface.reply(request)

    return api


def _set(*secrets: str | None) -> list[str]:
    """Those that are set."""
    return [secret for secret in secrets if secret]
