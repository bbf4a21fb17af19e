"""The function `ring`: sees to it that a ring ends by itself, when its time is over or its caller
is gone. It schedules that when a call begins to ring or a connection is closed, and takes the tasks
that it has scheduled."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from functions.attempt import Attempt
from functions.calls.call import SignalId, Status
from functions.calls.event import CallEvent
from functions.calls.transitions import PushPolicy
from functions.delivery.callers import Callers
from functions.delivery.commit import Committer, Received
from functions.delivery.ending import Ending
from functions.delivery.signaling import Signaling
from functions.inbound import pubsub as deliveries
from functions.inbound import tasks
from functions.inbound.frames import new_signal_id
from functions.inbound.http import Handler
from functions.ports.clock import Clock, system_clock
from functions.ports.publisher import Publisher
from functions.ports.scheduler import Scheduler
from functions.ports.sockets import Sockets
from functions.ports.store import Store
from functions.published import ConnectionClosed, Published
from functions.scheduled import CallerCheck, RingEnds, Scheduled
from functions.services import cloudtasks, firestore, pubsub, transports
from functions.settings import RingSettings
from functions.warmup import WarmUp
from functions.wire.codecs import Codecs


def build(settings: RingSettings) -> Handler:
    """Builds the function on the real services, as it is deployed."""
    store = firestore.connect(settings)
    return handler(
        settings,
        store,
        transports.connect(settings, store),
        pubsub.connect(settings),
        cloudtasks.connect(settings),
    )


def handler(
    settings: RingSettings,
    store: Store,
    sockets: Sockets,
    publisher: Publisher,
    scheduler: Scheduler,
    clock: Clock = system_clock,
    new_id: Callable[[], SignalId] = new_signal_id,
) -> Handler:
    """Builds the function on the given ports."""
    timeout = settings.direct_post_timeout
    codecs = Codecs(settings.dialect)
    committer = Committer(store, sockets, codecs, publisher, clock, direct_post_timeout=timeout)
    pushes = PushPolicy.named(**settings.pushers)
    signaling = Signaling(store.calls, committer, clock, pushes)
    ending = Ending(signaling, scheduler)
    callers = Callers(store, signaling, scheduler, clock, settings.caller_grace)
    warm_up = WarmUp(store.calls.warm_up, sockets.warm_up, publisher.warm_up, scheduler.warm_up)

    def received() -> Received:
        now = clock()
        return Received(new_id(), now, received_at=now)

    async def handle(event: Published, _: Attempt) -> None:
        match event:
            case CallEvent(status=Status.RINGING):
                await ending.began(event)
                await callers.began(event)
            case ConnectionClosed():
                await callers.closed(event)
            case RingEnds():  # by `sweep`, as its task has not come
                await ending.ended(event, received())
            case _:
                pass  # the filter passes none, but Google's emulator ignores filters

    async def carry_out(task: Scheduled) -> None:
        match task:
            case RingEnds():
                await ending.ended(task, received())
            case CallerCheck():
                await callers.check(task, received())

    @warm_up.on_get
    async def ring(request: Request) -> Response:
        """Takes one delivery of the subscription for rings, and at `/tasks` one of Cloud Tasks."""
        if request.scope["path"] == "/tasks":
            return await tasks.receive(request, settings.project, carry_out)
        return await deliveries.receive(request, settings.project, handle)

    return ring
