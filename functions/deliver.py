"""The function `deliver`: posts published events to sockets, and opens Socket.IO sessions."""

from starlette.requests import Request
from starlette.responses import Response

from functions.attempt import Attempt
from functions.calls.call import ConnectionId
from functions.calls.event import CallEvent
from functions.delivery.catchup import CatchUp
from functions.delivery.deliver import Deliverer
from functions.delivery.memory import Memory
from functions.heartbeats import timers_of
from functions.inbound.http import Handler
from functions.inbound.pubsub import receive
from functions.ports.clock import Clock, system_clock
from functions.ports.sockets import Sockets
from functions.ports.store import Store
from functions.published import (
    ConnectionAccepted,
    ConnectionAdmitted,
    ConnectionClosed,
    DeviceGone,
    Published,
)
from functions.scheduled import RingEnds
from functions.services import firestore, transports
from functions.sessions.cap import ConnectionCap
from functions.sessions.open import Opener
from functions.settings import DeliverSettings
from functions.warmup import WarmUp
from functions.wire.codecs import Codecs


def build(settings: DeliverSettings) -> Handler:
    """Builds the function on the real services, as it is deployed."""
    store = firestore.connect(settings)
    return handler(settings, store, transports.connect(settings, store))


def handler(
    settings: DeliverSettings, store: Store, sockets: Sockets, clock: Clock = system_clock
) -> Handler:
    """Builds the function on the given ports."""
    memory: Memory[ConnectionId] = Memory()
    codecs = Codecs(settings.dialect)
    deliverer = Deliverer(store, sockets, codecs, memory, clock)
    catch_up = CatchUp(store, sockets, codecs, memory, clock)
    cap = ConnectionCap(store.connections, sockets, clock, settings.connections_per_user)
    opener = Opener(store.connections, sockets, clock, timers_of(settings))
    warm_up = WarmUp(store.calls.warm_up, sockets.warm_up)

    async def handle(event: Published, attempt: Attempt) -> None:
        match event:
            case CallEvent():
                await deliverer.deliver(event, attempt)
            case ConnectionAccepted():
                await opener.open(event)
            case ConnectionAdmitted():
                told = await catch_up.tell(event)
                if told and told.user:
                    await cap.enforce(told.user, told.id)
            case ConnectionClosed() | DeviceGone() | RingEnds():
                pass  # the filter passes none, but Google's emulator ignores filters

    @warm_up.on_get
    async def deliver(request: Request) -> Response:
        """Takes one delivery of the subscription to all events."""
        return await receive(request, settings.project, handle)

    return deliver
