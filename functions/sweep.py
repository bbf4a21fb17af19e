"""The function `sweep`: every minute it sees to what a crash left in the outbox, to who was not
admitted in time, and to rings that nobody has ended."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions import telemetry
from functions.delivery.sweep import Sweeper
from functions.inbound.http import Handler
from functions.ports.clock import Clock, system_clock
from functions.ports.publisher import Publisher
from functions.ports.sockets import Sockets
from functions.ports.store import Store
from functions.services import firestore, pubsub, transports
from functions.sessions.deadline import AdmissionDeadline
from functions.settings import SweepSettings
from functions.telemetry import Log
from functions.warmup import WarmUp

log = Log(__name__)


def build(settings: SweepSettings) -> Handler:
    """Builds the function on the real services, as it is deployed."""
    store = firestore.connect(settings)
    return handler(
        settings,
        store,
        transports.connect(settings, store),
        pubsub.connect(settings),
    )


def handler(
    settings: SweepSettings,
    store: Store,
    sockets: Sockets,
    publisher: Publisher,
    clock: Clock = system_clock,
) -> Handler:
    """Builds the function on the given ports."""
    sweeper = Sweeper(
        store.outbox,
        store.calls,
        publisher,
        AdmissionDeadline(store.connections, sockets, clock).enforce,
        clock,
        after=settings.sweep_after,
        every=settings.sweep_every,
    )
    warm_up = WarmUp(store.calls.warm_up, publisher.warm_up)

    @warm_up.on_get
    async def sweep(request: Request) -> Response:
        """Takes a call of Cloud Scheduler, and replies with what was done in all looks: 200, or 503
        if one of them failed."""
        with telemetry.request(settings.project, request.headers.get("traceparent")):
            swept = await sweeper.sweep()
            log.info("swept", **swept.fields())
            return JSONResponse(swept.fields(), status_code=503 if swept.failed else 200)

    return sweep
