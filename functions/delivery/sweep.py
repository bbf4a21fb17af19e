"""Looks regularly for what nobody else will see to: above all, what a crash left in the outbox."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from functions.ports.clock import Clock
from functions.ports.publisher import Publisher, PublishFailed
from functions.ports.store import Entry, Outbox, StoreUnavailable, Unreadable
from functions.telemetry import Log

_CALLED_EVERY = timedelta(minutes=1)  # Cloud Scheduler can't call more often
_AT_ONCE = 50  # publishes; more would only wait for the processor

log = Log(__name__)


@dataclass(slots=True)
class Swept:
    """What one call of `sweep` found and did."""

    republished: int = 0
    closed: int = 0  # sockets of those who were not admitted
    unreadable: int = 0  # entries that were no events of ours, and were removed
    failed: int = 0  # looks that an error ended
    oldest: timedelta = timedelta(0)  # age of the oldest entry that was seen

    def fields(self) -> dict[str, int]:
        """What is logged, and what the caller of `sweep` reads."""
        return {
            "republished": self.republished,
            "closed": self.closed,
            "unreadable": self.unreadable,
            "failed": self.failed,
            "oldestMs": self.oldest // timedelta(milliseconds=1),
        }


class Sweeper:
    """Republishes outbox entries that have been pending for longer than `after`, and has sockets
    closed whose clients were not admitted in time.

    Within one call it looks once in every period of `every`, `until` the next call is due.
    """

    def __init__(
        self,
        outbox: Outbox,
        publisher: Publisher,
        close_unadmitted: Callable[[], Awaitable[int]],
        clock: Clock,
        *,
        after: timedelta,
        every: timedelta,
        until: timedelta = _CALLED_EVERY,
    ) -> None:
        self._outbox = outbox
        self._publisher = publisher
        self._close_unadmitted = close_unadmitted
        self._clock = clock
        self._after = after
        self._every = every
        self._looks = max(1, until // every)

    async def sweep(self) -> Swept:
        """Looks again and again until the next call is due.

        As a rule an event lives for half the time between two calls: a single look would find many
        entries only after they have expired.
        """
        swept = Swept()
        # Beside each other: sockets that take long to close must not keep an event waiting.
        await asyncio.gather(
            self._regularly(self.look, swept), self._regularly(self.look_for_unadmitted, swept)
        )
        return swept

    async def _regularly(self, look: Callable[[Swept], Awaitable[None]], swept: Swept) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        for number in range(self._looks):
            await asyncio.sleep(began + number * self._every.total_seconds() - clock())
            try:
                await look(swept)
            except (StoreUnavailable, PublishFailed) as error:
                log.error("look failed", error=str(error))
                swept.failed += 1
            except Exception:  # whatever failed, the next look may succeed
                log.exception("look failed")
                swept.failed += 1

    async def look_for_unadmitted(self, swept: Swept) -> None:
        """Costs 1 RunQuery, and what it costs to close the sockets that are due."""
        swept.closed += await self._close_unadmitted()

    async def look(self, swept: Swept) -> None:
        """Costs 1 RunQuery for each page, 1 Publish for each entry, and 1 Commit for each entry
        that can't be read.

        An expired entry is republished too: `deliver` and `push` drop it, and log that. Raises
        StoreUnavailable. Raises PublishFailed at the end, as one entry that Pub/Sub won't take must
        not keep back the others, but at once if Pub/Sub takes none of a batch.
        """
        now = self._clock()
        failure: PublishFailed | None = None
        async for page in self._outbox.pending(now - self._after):
            for entry in page.entries:
                swept.oldest = max(swept.oldest, now - (entry.pending_since or now))
            try:
                failure = await self._republish(page.entries, swept) or failure
            finally:
                await self._remove(page.unreadable, swept)
        if failure:
            raise failure

    async def _republish(self, entries: Sequence[Entry], swept: Swept) -> PublishFailed | None:
        """Gives the last failure, if any. Raises PublishFailed if Pub/Sub takes none of a batch."""
        failure: PublishFailed | None = None
        for first in range(0, len(entries), _AT_ONCE):
            batch = entries[first : first + _AT_ONCE]
            ends = await asyncio.gather(*map(self._publish, batch))
            failures = [end for end in ends if end is not None]
            swept.republished += len(batch) - len(failures)
            if len(failures) == len(batch):
                raise failures[-1]
            failure = failures[-1] if failures else failure
        return failure

    async def _publish(self, entry: Entry) -> PublishFailed | None:
        """Costs 1 Publish. Gives its failure, if any."""
        try:
            await self._publisher.publish(entry.event.served_to(None))
        except PublishFailed as error:
            return error
        except Exception as error:  # one entry's trouble must not keep back the others
            log.exception("publish failed", callId=entry.event.call_id)
            return PublishFailed(repr(error))
        return None

    async def _remove(self, unreadable: Sequence[Unreadable], swept: Swept) -> None:
        """Removes entries that no retry can make events of: each look would read them again."""
        for found in unreadable:
            log.error("unreadable entry", entry=found.id, error=found.error)
            swept.unreadable += 1
        for first in range(0, len(unreadable), _AT_ONCE):
            batch = unreadable[first : first + _AT_ONCE]
            await asyncio.gather(*map(self._outbox.remove, batch))
