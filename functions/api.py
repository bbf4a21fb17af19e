"""The function `api`, over HTTPS: for apps whose socket is down or whose page is left, and for
their backends."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from functions import telemetry
from functions.calls.call import SignalId
from functions.calls.transitions import PushPolicy
from functions.delivery.commit import Committer
from functions.delivery.emit import Emitter
from functions.delivery.erasure import Erasure
from functions.delivery.initiating import Initiating
from functions.delivery.ringing import Ringing, RingRules
from functions.delivery.signaling import Signaling
from functions.inbound.api import Api, Part
from functions.inbound.asking import Asking
from functions.inbound.calls import CallRequests
from functions.inbound.emits import EmitRequests
from functions.inbound.frames import new_signal_id
from functions.inbound.http import Handler
from functions.inbound.load import Load
from functions.inbound.rate import CallRate, RequestRate
from functions.inbound.users import UserRequests
from functions.ports.clock import Clock, system_clock
from functions.ports.identity import Identity
from functions.ports.publisher import Publisher
from functions.ports.sockets import Sockets
from functions.ports.store import Store
from functions.services import apigateway, firestore, identity, pubsub, ring_tokens
from functions.sessions.registration import Registration
from functions.sessions.signout import SignOut
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
    connections, timeout = store.connections, settings.direct_post_timeout
    keys = _set(settings.api_key, settings.api_key_previous)
    tokens = ring_tokens.connect(settings)
    asking = Asking(identity, keys, RequestRate(settings.frames_per_second, clock), tokens)
    load, pushes = Load(settings.requests_at_once), PushPolicy.named(**settings.pushers)
    dialect, codecs = settings.dialect, Codecs(settings.dialect)
    committer = Committer(store, sockets, codecs, publisher, clock, direct_post_timeout=timeout)
    signaling = Signaling(store.calls, committer, clock, pushes)
    rate = CallRate(settings.calls_per_minute, clock)
    rules = RingRules(pushes, settings.call_ttl, settings.busy, settings.call_max, rate.allows)
    ringing = Ringing(store, committer, clock, rules)
    initiating = Initiating(
        store.calls,
        ringing,
        sockets,
        codecs,
        dialect,
        ring_seconds=settings.ring_seconds,
        notes_callers=False,
        post_timeout=timeout,
    )
    sign_out = SignOut(connections, sockets, clock)
    registration = Registration(
        connections, store.devices, clock, settings.device_ttl, settings.devices_per_user
    )
    erasure = Erasure(store, signaling, sign_out.is_everywhere, clock, new_id)
    parts: list[Part] = [
        CallRequests(
            signaling,
            initiating,
            ringing,
            store.calls,
            asking,
            load,
            clock,
            new_id,
            settings.ring_seconds,
            dialect,
        ),
        UserRequests(store, sign_out, registration, erasure, asking, load, clock),
    ]
    if settings.internal_secret:
        secrets = _set(settings.internal_secret, settings.internal_secret_previous)
        emitter = Emitter(store, sockets, codecs, signaling, clock)
        parts.append(EmitRequests(emitter, secrets, load, clock, new_id, dialect.ids))
    interface = Api(parts, settings.cors_origins)
    warm_up = WarmUp(
        store.calls.warm_up,
        sockets.warm_up,
        publisher.warm_up,
        identity.warm_up,
        tokens.warm_up,
    )

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
