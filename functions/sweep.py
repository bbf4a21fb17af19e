"""`sweep`: republishes what a crash left in the outbox. Cloud Scheduler calls it every minute."""

import asyncio
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions import settings, telemetry
from functions.services import firestore, pubsub
from functions.services.firestore import Store, StoreUnavailable
from functions.services.pubsub import Publisher, PublishFailed
from functions.telemetry import Log

_LIMIT = 500  # entries a pass; what is left waits for the next one

log = Log(__name__)


@functions_framework.aio.http
async def sweep(request: Request) -> Response:
    """Answers 200 with `{"republished": …, "expired": …}`, or 503 when it could not finish."""
    with telemetry.request(_settings().project, request.headers.get("traceparent")):
        try:
            swept = await _sweeper().sweep()
        except (StoreUnavailable, PublishFailed) as error:
            log.error("sweep failed", error=str(error))
            return JSONResponse({"message": "unavailable"}, status_code=503)
        return JSONResponse(asdict(swept))


@dataclass(slots=True)
class Swept:
    republished: int = 0
    expired: int = 0


class Sweeper:
    """Republishes outbox entries that are older than `after`."""

    def __init__(self, store: Store, publisher: Publisher, after: timedelta) -> None:
        self._store = store
        self._publisher = publisher
        self._after = after

    async def sweep(self) -> Swept:
        """1 RunQuery a pass, 1 Publish for each entry; 1 Commit for each that expired.

        Entries too young for the first pass get a second: by the next minute's sweep, most of
        them would have expired.
        """
        swept = Swept()
        if await self._pass(swept):
            await asyncio.sleep(self._after.total_seconds())
            await self._pass(swept)
        log.info("swept", republished=swept.republished, expired=swept.expired)
        return swept

    async def _pass(self, swept: Swept) -> bool:
        """Goes through the outbox once; says whether there are entries too young for it."""
        now = datetime.now(UTC)
        young = False
        for event in await self._store.all_pending(_LIMIT):
            if now - event.decided_at < self._after:
                young = True
            elif event.expired(now):
                log.warning("expired", callId=event.call_id, signalId=event.signal_id)
                await self._store.delivered(event)
                swept.expired += 1
            else:
                await self._publisher.publish(event.served_to(None))
                swept.republished += 1
        return young


@cache
def _settings() -> settings.Settings:
    return settings.load("sweep")


@cache
def _sweeper() -> Sweeper:
    loaded = _settings()
    return Sweeper(firestore.connect(loaded), pubsub.connect(loaded), loaded.sweep_after)
