"""The function `push`: sends the FCM message to every device of the recipients who have a push, and
tells of devices that are gone."""

from starlette.requests import Request
from starlette.responses import Response

from functions.attempt import Attempt
from functions.calls.event import CallEvent
from functions.delivery.push import Pusher
from functions.inbound.http import Handler
from functions.inbound.pubsub import receive
from functions.ports.clock import Clock, system_clock
from functions.ports.publisher import Publisher
from functions.ports.push_sender import PushSender
from functions.ports.store import Store
from functions.published import Published
from functions.services import fcm, firestore, pubsub, ring_tokens
from functions.settings import PushSettings
from functions.warmup import WarmUp


def build(settings: PushSettings) -> Handler:
    """Builds the function on the real services, as it is deployed."""
    return handler(
        settings, firestore.connect(settings), fcm.connect(settings), pubsub.connect(settings)
    )


def handler(
    settings: PushSettings,
    store: Store,
    sender: PushSender,
    publisher: Publisher,
    clock: Clock = system_clock,
) -> Handler:
    """Builds the function on the given ports."""
    tokens = ring_tokens.connect(settings)
    pusher = Pusher(store, sender, publisher, tokens, clock, settings.devices_per_user)
    warm_up = WarmUp(store.calls.warm_up, sender.warm_up, tokens.warm_up)

    async def handle(event: Published, attempt: Attempt) -> None:
        # The subscription's filter passes nothing else, but Google's emulator ignores filters.
        if isinstance(event, CallEvent):
            await pusher.push(event, attempt)

    @warm_up.on_get
    async def push(request: Request) -> Response:
        """Takes one delivery of the subscription for phones."""
        return await receive(request, settings.project, handle)

    return push
