"""`deliver`: makes sure that the told user's sockets have the event; opens Socket.IO sessions."""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from functions import settings
from functions.calls.call import ConnectionId, SignalId
from functions.calls.event import CallEvent
from functions.copies import claim
from functions.delivery import NotDelivered, receive
from functions.notification import Report, notify
from functions.opening import Opener, Timers
from functions.published import ConnectionOpened, Published
from functions.services import apigateway, firestore
from functions.services.apigateway import Sockets
from functions.services.documents import Connection, MessageId
from functions.services.firestore import Store
from functions.telemetry import Log
from functions.warmup import Step, WarmUp
from functions.wire.frames import Wire

# Until $connect has been answered, for which there are 29 s, a living connection answers 410.
_HANDSHAKE = timedelta(seconds=30)

_REMEMBERED = 1000  # signals: more than come in the minute that an event lives

log = Log(__name__)


@functions_framework.aio.http
async def deliver(request: Request) -> Response:
    """Takes one delivery of the subscription to all events; a GET warms the instance up."""
    if request.method == "GET":
        return await _WARM_UP.answer()
    return await receive(request, _settings().project, _handle)


async def _handle(event: Published, message: MessageId) -> None:
    match event:
        case CallEvent():
            await _deliverer().deliver(event, message)
        case ConnectionOpened():
            await _opener().open(event)


class Deliverer:
    """Posts an event to the connections that don't have it yet."""

    def __init__(self, store: Store, sockets: Sockets) -> None:
        self._store = store
        self._sockets = sockets
        # Whom this instance has told of the last signals: as long as Firestore can't be written,
        # nothing else tells, and Pub/Sub comes again.
        self._told: OrderedDict[SignalId, set[ConnectionId]] = OrderedDict()

    def warm_up_steps(self) -> Sequence[Step]:
        return (self._store.warm_up, self._sockets.warm_up)

    async def deliver(self, event: CallEvent, message: MessageId) -> None:
        """1 RunQuery, 1 POST for each connection not served, 1 Commit; of a copy 1
        BatchGetDocuments and 1 Commit before.

        Safe to run twice. Raises NotDelivered when a socket that may be open was not reached.
        """
        now = datetime.now(UTC)
        if event.expired(now):
            log.warning("expired", outcome="expired")
            await self._forget(event)
            return
        if event.served is None and not await claim(self._store, event, message, now):
            log.info("superseded", outcome="superseded")
            return
        connections = await self._store.connections_of(event.tells, now)
        told = self._told_of(event)
        served = [found for found in connections if found.id in told or _is_served(found, event)]
        unserved = [found for found in connections if found not in served]
        report = await notify(self._sockets, unserved, event)
        told.update(connection.id for connection in report.served)
        await self._record(event, served, report, now)

    def _told_of(self, event: CallEvent) -> set[ConnectionId]:
        told = self._told.setdefault(event.signal_id, set())
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        return told

    async def _forget(self, event: CallEvent) -> None:
        """Deletes the outbox entry, unless it is of a later ring of the same call."""
        pending = await self._store.pending(event.call_id)
        if pending and pending.event.signal_id == event.signal_id:
            await self._store.delivered(event)

    async def _record(
        self, event: CallEvent, served: list[Connection], report: Report, now: datetime
    ) -> None:
        dead = [found for found in report.gone if now - found.connected_at > _HANDSHAKE]
        missed = len(report.failed) + len(report.gone) - len(dead)
        log.info(
            "delivered",
            served=len(report.served),
            gone=len(dead),
            refused=len(report.refused),
            missed=missed,
        )
        if not missed:
            await self._store.delivered(event, gone=dead)
            return
        # Those that the gateway served, too: a copy of the event would not know of them.
        done = served + report.served + report.refused
        await self._store.partly_delivered(event, done, gone=dead)
        raise NotDelivered(f"{missed} connections were not reached")


def _is_served(connection: Connection, event: CallEvent) -> bool:
    return connection.id in (event.served or ()) or connection.served == event.signal_id


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
def _deliverer() -> Deliverer:
    return Deliverer(_store(), _sockets())


@cache
def _opener() -> Opener:
    loaded = _settings()
    timers = {
        Wire.EIO3: Timers(loaded.eio3_ping_interval, loaded.eio3_ping_timeout),
        Wire.EIO4: Timers(loaded.eio4_ping_interval, loaded.eio4_ping_timeout),
    }
    return Opener(_store(), _sockets(), timers)


_WARM_UP = WarmUp(lambda: _deliverer().warm_up_steps())
