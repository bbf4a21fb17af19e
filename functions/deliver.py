"""The function `deliver`: posts published events to sockets, and opens Socket.IO sessions."""

from starlette.requests import Request
from starlette.responses import Response

from functions.attempt import Attempt
from functions.calls.call import ConnectionId
from functions.calls.event import CallEvent
from functions.clients.connection import Wire
from functions.delivery.catchup import CatchUp
from functions.delivery.deliver import Deliverer
from functions.delivery.memory import Memory
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
from functions.services import apigateway, firestore
from functions.sessions.cap import ConnectionCap
from functions.sessions.open import Opener, Timers
from functions.settings import DeliverSettings
from functions.warmup import WarmUp
from functions.wire.codecs import Codecs


def build(settings: DeliverSettings) -> Handler:
    """Builds the function on the real services, as it is deployed."""
    return handler(settings, firestore.connect(settings), apigateway.connect(settings))


def handler(
    settings: DeliverSettings, store: Store, sockets: Sockets, clock: Clock = system_clock
) -> Handler:
    """Builds the function on the given ports."""
    memory: Memory[ConnectionId] = Memory()
    codecs = Codecs(settings.dialect)
    deliverer = Deliverer(store, sockets, codecs, memory, clock)
    catch_up = CatchUp(store, sockets, codecs, memory, clock)
    cap = ConnectionCap(store.connections, sockets, clock, settings.connections_per_user)
    opener = Opener(store.connections, sockets, clock, _timers(settings))
    warm_up = WarmUp(store.calls.warm_up, sockets.warm_up)

    async def handle(event: Published, attempt: Attempt) -> None:
        match event:
            case CallEvent():
                await deliverer.deliver(event, attempt)
            case ConnectionAccepted():
                await opener.open(event)
            case ConnectionAdmitted(connection_id=id):
                if user := await catch_up.tell(event):
                    await cap.enforce(user, id)
            case ConnectionClosed() | DeviceGone() | RingEnds():
                pass  # the filter passes none, but Google's emulator ignores filters

    @warm_up.on_get
    async def deliver(request: Request) -> Response:
        """Takes one delivery of the subscription to all events."""
        return await receive(request, settings.project, handle)

    return deliver


def _timers(settings: DeliverSettings) -> dict[Wire, Timers]:
    return {
        Wire.EIO3: Timers(settings.eio3_ping_interval, settings.eio3_ping_timeout),
        Wire.EIO4: Timers(settings.eio4_ping_interval, settings.eio4_ping_timeout),
    }
