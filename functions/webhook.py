"""The function `webhook`: the app's own backend is told what becomes of calls, and what to push."""

from starlette.requests import Request
from starlette.responses import Response

from functions.attempt import Attempt
from functions.calls.event import CallEvent
from functions.delivery.webhook import WebhookDeliverer
from functions.inbound.http import Handler
from functions.inbound.pubsub import RETRY, receive
from functions.ports.clock import Clock, system_clock
from functions.ports.store import Store
from functions.ports.webhooks import Webhooks
from functions.published import DeviceGone, Published
from functions.services import firestore, ring_tokens, webhooks
from functions.settings import WebhookSettings
from functions.telemetry import Log
from functions.warmup import WarmUp

log = Log(__name__)


def build(settings: WebhookSettings) -> Handler:
    """Builds the function on the real services, as it is deployed."""
    return handler(settings, firestore.connect(settings), webhooks.connect(settings))


def handler(
    settings: WebhookSettings, store: Store, webhooks: Webhooks, clock: Clock = system_clock
) -> Handler:
    """Builds the function on the given ports."""
    tokens = ring_tokens.connect(settings)
    deliverers = {
        name: WebhookDeliverer(url, webhooks, store.outbox, tokens, clock, settings.dialect)
        for name, url in settings.webhooks.items()
    }
    warm_up = WarmUp(store.calls.warm_up, tokens.warm_up)

    @warm_up.on_get
    async def webhook(request: Request) -> Response:
        """Takes one delivery of a URL's subscription at `/NAME`, or of the one for what its backend
        is to push, at `/NAME/wanted`."""
        name, _, kind = request.scope["path"].removeprefix("/").partition("/")
        deliverer = deliverers.get(name)
        if deliverer is None or kind not in ("", "wanted"):
            # The URL was removed before its subscription, or this is the revision before it was
            # added. Whoever knows it takes the delivery, and nothing is lost meanwhile.
            log.error("unknown webhook", path=request.scope["path"][:100])
            return Response(status_code=RETRY)

        async def handle(event: Published, attempt: Attempt) -> None:
            # The filters pass nothing else, but Google's emulator ignores filters.
            match event:
                case CallEvent() if kind == "wanted":
                    await deliverer.ask_for_pushes(event, attempt)
                case CallEvent() | DeviceGone() if not kind:
                    await deliverer.tell(event)

        return await receive(request, settings.project, handle)

    return webhook
