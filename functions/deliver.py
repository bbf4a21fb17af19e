"""`deliver`: makes sure that the told user's sockets have the event, those that open later too."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from functools import cache

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from functions import settings
from functions.calls.call import ConnectionId
from functions.calls.event import CallEvent
from functions.catchup import CatchUp
from functions.copies import claim
from functions.delivery import Delivery, NotDelivered, receive
from functions.memory import Memory
from functions.notification import Report, notify
from functions.opening import Opener, Timers
from functions.published import ConnectionAdmitted, ConnectionOpened, Published
from functions.services import apigateway, firestore
from functions.services.apigateway import Sockets
from functions.services.documents import Entry
from functions.services.firestore import Store
from functions.telemetry import Log
from functions.warmup import Step, WarmUp
from functions.wire.frames import Wire

log = Log(__name__)


@functions_framework.aio.http
async def deliver(request: Request) -> Response:
    """Takes one delivery of the subscription to all events; a GET warms the instance up."""
    if request.method == "GET":
        return await _WARM_UP.answer()
    return await receive(request, _settings().project, _handle)


async def _handle(event: Published, delivery: Delivery) -> None:
    match event:
        case CallEvent():
            await _deliverer().deliver(event, delivery)
        case ConnectionOpened():
            await _opener().open(event)
        case ConnectionAdmitted():
            await _catch_up().tell(event)


class Deliverer:
    """Posts an event to the connections that don't have it yet."""

    def __init__(self, store: Store, sockets: Sockets, memory: Memory[ConnectionId]) -> None:
        self._store = store
        self._sockets = sockets
        self._memory = memory

    def warm_up_steps(self) -> Sequence[Step]:
        return (self._store.warm_up, self._sockets.warm_up)

    async def deliver(self, event: CallEvent, delivery: Delivery) -> None:
        """1 RunQuery, 1 POST for each connection not served, 1 Commit; of what comes late 1
        BatchGetDocuments before, and of a copy 1 Commit more.

        Safe to run twice. Raises StoreUnavailable, and NotDelivered when a socket that may be open
        was not reached.
        """
        now = datetime.now(UTC)
        if event.expired(now):
            log.warning("expired", outcome="expired")
            await self._store.outbox.note_served(event, (), is_done=True)
            return
        told = self._memory.told(event.signal_id)
        told.update(event.served or ())
        if delivery.is_late(event, now):
            known = await self._store.outbox.known(event)
            event = event.told_to(event.still_true(known.call))
            if not await self._is_to_be_told(event, known.entry, delivery, now):
                return
            told.update(known.entry.served if known.entry else ())
        connections = await self._store.connections_of(event.users, now)
        unserved = [connection for connection in connections if connection.id not in told]
        report = await notify(self._sockets, unserved, event)
        # To whom API Gateway will never take it there is nothing more to do either.
        told.update(connection.id for connection in report.served + report.refused)
        await self._record(event, told, report, now)

    async def _is_to_be_told(
        self, event: CallEvent, entry: Entry | None, delivery: Delivery, now: datetime
    ) -> bool:
        """Of what comes late: not if it is true for nobody any more, or somebody else is at it."""
        if not event.recipients:
            log.info("no longer true", outcome="untrue")
            await self._store.outbox.note_served(event, (), is_done=True)
            return False
        if not await self._is_due(event, entry, delivery, now):
            log.info("superseded", outcome="superseded")
            return False
        return True

    async def _is_due(
        self, event: CallEvent, entry: Entry | None, delivery: Delivery, now: datetime
    ) -> bool:
        is_copy = event.served is None
        if entry is None:
            return not is_copy  # it was removed by hand, but this message is still to be told
        if entry.pending_since is None:
            return False
        return not is_copy or await claim(self._store.outbox, entry, delivery.message, now)

    async def _record(
        self, event: CallEvent, told: Collection[ConnectionId], report: Report, now: datetime
    ) -> None:
        dead = report.dead(now)
        missed = len(report.failed) + len(report.gone) - len(dead)
        log.info(
            "delivered",
            served=len(report.served),
            gone=len(dead),
            refused=len(report.refused),
            missed=missed,
        )
        await self._store.outbox.note_served(event, told, is_done=not missed, gone=dead)
        if missed:
            raise NotDelivered(f"{missed} connections were not reached")


@cache
def _settings() -> settings.Settings:
    return settings.load("deliver")


@cache
def _store() -> Store:
    return firestore.connect(_settings())


@cache
def _sockets() -> Sockets:
    return apigateway.connect(_settings())


@cache
def _memory() -> Memory[ConnectionId]:
    return Memory()


@cache
def _deliverer() -> Deliverer:
    return Deliverer(_store(), _sockets(), _memory())


@cache
def _catch_up() -> CatchUp:
    return CatchUp(_store(), _sockets(), _memory())


@cache
def _opener() -> Opener:
    loaded = _settings()
    timers = {
        Wire.EIO3: Timers(loaded.eio3_ping_interval, loaded.eio3_ping_timeout),
        Wire.EIO4: Timers(loaded.eio4_ping_interval, loaded.eio4_ping_timeout),
    }
    return Opener(_store(), _sockets(), timers)


_WARM_UP = WarmUp(lambda: _deliverer().warm_up_steps())
