"""`sweep`: republishes what a crash left in the outbox. Cloud Scheduler calls it every minute."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions import settings, telemetry
from functions.services import firestore, pubsub
from functions.services.firestore import Store
from functions.services.pubsub import Publisher, PublishFailed
from functions.services.remote import StoreUnavailable
from functions.telemetry import Log
from functions.warmup import Step, WarmUp

_CALLED_EVERY = timedelta(minutes=1)  # as often as Cloud Scheduler can
_LIMIT = 500  # entries a look, oldest first; the others wait until these are delivered
_FAILURES = 3  # entries of one look that can't be published: then it is not the entries' fault

log = Log(__name__)


@functions_framework.aio.http
async def sweep(request: Request) -> Response:
    """Answers with what was done in all looks: 200, or 503 when one could not finish."""
    if request.method == "GET":
        return await _WARM_UP.answer()
    with telemetry.request(_settings().project, request.headers.get("traceparent")):
        swept = await _sweeper().sweep()
        log.info("swept", **swept.fields())
        return JSONResponse(swept.fields(), status_code=503 if swept.failed else 200)


@dataclass(slots=True)
class Swept:
    republished: int = 0
    expired: int = 0
    failed: int = 0  # looks that Firestore or Pub/Sub ended
    oldest: timedelta = timedelta(0)  # age of the oldest entry that was seen

    def fields(self) -> dict[str, int]:
        return {
            "republished": self.republished,
            "expired": self.expired,
            "failed": self.failed,
            "oldestMs": self.oldest // timedelta(milliseconds=1),
        }


class Sweeper:
    """Republishes outbox entries older than `after`.

    A call looks once `every` so often, as many times as that fits into `until` the next call.
    """

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        *,
        after: timedelta,
        every: timedelta,
        until: timedelta = _CALLED_EVERY,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._after = after
        self._every = every
        self._looks = max(1, until // every)

    def warm_up_steps(self) -> Sequence[Step]:
        return (self._store.warm_up, self._publisher.warm_up)

    async def sweep(self) -> Swept:
        """Looks again and again until the next call is due.

        An event lives as long as the time between two calls: looking once would find many of
        those that a crash left only when they had expired.
        """
        swept = Swept()
        for number in range(self._looks):
            if number:
                await asyncio.sleep(self._every.total_seconds())
            try:
                await self.look(swept)
            except (StoreUnavailable, PublishFailed) as error:
                log.error("look failed", error=str(error))
                swept.failed += 1
            except Exception:  # the next look may find the rest
                log.exception("look failed")
                swept.failed += 1
        return swept

    async def look(self, swept: Swept) -> None:
        """1 RunQuery, 1 Publish for each entry, 1 Commit for each that expired.

        Raises StoreUnavailable, and PublishFailed: at the end, as one entry that Pub/Sub won't take
        must not keep back the others, or when it takes none.
        """
        now = datetime.now(UTC)
        failures: list[PublishFailed] = []
        for event in await self._store.all_pending(_LIMIT):
            age = now - event.decided_at
            swept.oldest = max(swept.oldest, age)
            if event.expired(now):
                log.warning("expired", callId=event.call_id, signalId=event.signal_id)
                await self._store.delivered(event)
                swept.expired += 1
            elif age >= self._after:
                try:
                    await self._publisher.publish(event.served_to(None))
                    swept.republished += 1
                except PublishFailed as error:
                    failures.append(error)
                    if len(failures) == _FAILURES:
                        break
        if failures:
            raise failures[-1]


@cache
def _settings() -> settings.Settings:
    return settings.load("sweep")


@cache
def _sweeper() -> Sweeper:
    loaded = _settings()
    return Sweeper(
        firestore.connect(loaded),
        pubsub.connect(loaded),
        after=loaded.sweep_after,
        every=loaded.sweep_every,
    )


_WARM_UP = WarmUp(lambda: _sweeper().warm_up_steps())
