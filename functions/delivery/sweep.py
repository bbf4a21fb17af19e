"""Looks regularly for what nobody else will see to: above all, what a crash left in the outbox."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from functions.calls.call import Status
from functions.calls.event import CallEvent, unix_ms
from functions.ports.clock import Clock
from functions.ports.publisher import Publisher, PublishFailed
from functions.ports.store import (
    Calls,
    Entry,
    Outbox,
    Overdue,
    StoreUnavailable,
    Unreadable,
)
from functions.scheduled import RingEnds
from functions.telemetry import Log

_CALLED_EVERY = timedelta(minutes=1)  # Cloud Scheduler can't call more often
_AT_ONCE = 50  # publishes; more would only wait for the processor

# A task comes within a second or so of its time; a ring that has gone on for so much longer has
# none, or one that keeps failing.
_TASKS_ARE_LATE = timedelta(seconds=5)

_Found = TypeVar("_Found")
_Event = TypeVar("_Event", CallEvent, RingEnds)
_Outcome = PublishFailed | None

log = Log(__name__)


@dataclass(slots=True)
class Swept:
    """What one call of `sweep` found and did."""

    republished: int = 0
    closed: int = 0  # sockets of those who were not admitted
    overdue: int = 0  # rings that should have ended, and are ended now
    unreadable: int = 0  # entries that were no events of ours, and were removed
    failed: int = 0  # looks that an error ended
    oldest: timedelta = timedelta(0)  # age of the oldest entry that was seen

    def fields(self) -> dict[str, int]:
        """What is logged, and what the caller of `sweep` reads."""
        return {
            "republished": self.republished,
            "closed": self.closed,
            "overdue": self.overdue,
            "unreadable": self.unreadable,
            "failed": self.failed,
            "oldestMs": self.oldest // timedelta(milliseconds=1),
        }


class Sweeper:
    """Republishes outbox entries that have been pending for longer than `after`, has sockets closed
    whose clients were not admitted in time, and rings ended whose time is over.

    Within one call it looks once in every period of `every`, `until` the next call is due.
    """

    def __init__(
        self,
        outbox: Outbox,
        calls: Calls,
        publisher: Publisher,
        close_unadmitted: Callable[[], Awaitable[int]],
        clock: Clock,
        *,
        after: timedelta,
        every: timedelta,
        until: timedelta = _CALLED_EVERY,
    ) -> None:
        self._outbox = outbox
        self._calls = calls
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
            self._regularly(self.look, swept),
            self._regularly(self.look_for_unadmitted, swept),
            self._regularly(self.look_for_overdue, swept),
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

    async def look_for_overdue(self, swept: Swept) -> None:
        """Has rings ended whose own tasks have not come. Costs 1 RunQuery for each page, and 1
        Publish for each ring; where the app itself has ended it, 1 Commit instead.

        Raises StoreUnavailable. Raises PublishFailed at the end, or at once if Pub/Sub takes none
        of a batch.
        """
        failure: PublishFailed | None = None
        async for page in self._calls.overdue(self._clock() - _TASKS_ARE_LATE):
            read = [(each, _end_of(each)) for each in page]
            silent = [each for each, end in read if end is None]
            try:
                async for ends, outcomes in self._published([end for _, end in read if end]):
                    swept.overdue += sum(map(_is_overdue, ends, outcomes))
                    failure = _failure_of(outcomes) or failure
            finally:
                for gone in _batches(silent):
                    await asyncio.gather(*map(self._calls.note_silent, gone))
        if failure:
            raise failure

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
        copies = [each.event.served_to(None) for each in entries]
        async for _, outcomes in self._published(copies):
            swept.republished += outcomes.count(None)
            failure = _failure_of(outcomes) or failure
        return failure

    async def _published(
        self, events: Sequence[_Event]
    ) -> AsyncIterator[tuple[Sequence[_Event], Sequence[_Outcome]]]:
        """Costs 1 Publish for each. Gives them batch by batch with their failures, None for what is
        published. Raises PublishFailed if Pub/Sub takes none of a batch."""
        for batch in _batches(events):
            outcomes = await asyncio.gather(*map(self._publish, batch))
            if None not in outcomes and (failure := _failure_of(outcomes)):
                raise failure
            yield batch, outcomes

    async def _publish(self, event: CallEvent | RingEnds) -> _Outcome:
        try:
            await self._publisher.publish(event)
        except PublishFailed as error:
            return error
        except Exception as error:  # one event's trouble must not keep back the others
            cause = event.cause if isinstance(event, CallEvent) else None
            log.exception("publish failed", callId=event.call_id, cause=cause)
            return PublishFailed(repr(error))
        return None

    async def _remove(self, unreadable: Sequence[Unreadable], swept: Swept) -> None:
        """Removes entries that no retry can make events of: each look would read them again."""
        for found in unreadable:
            log.error("unreadable entry", entry=found.id, error=found.error)
            swept.unreadable += 1
        for batch in _batches(unreadable):
            await asyncio.gather(*map(self._outbox.remove, batch))


def _batches(found: Sequence[_Found]) -> Iterator[Sequence[_Found]]:
    return (found[first : first + _AT_ONCE] for first in range(0, len(found), _AT_ONCE))


def _failure_of(outcomes: Sequence[_Outcome]) -> PublishFailed | None:
    """The last of them."""
    return next((each for each in reversed(outcomes) if each is not None), None)


def _is_overdue(end: RingEnds, outcome: _Outcome) -> bool:
    """Whether a ring is ended now that a task should have ended. A call of which nobody was told
    has none: it is left to `sweep` on purpose."""
    return outcome is None and end.signal_id is not None


def _end_of(overdue: Overdue) -> RingEnds | None:
    """The end of a ring; None if the call rings no more, or can't be read."""
    call = overdue.call
    if call is None or call.status is not Status.RINGING or call.rings_until is None:
        return None
    return RingEnds(
        call_id=call.id, signal_id=call.signal_id, rings_until_ms=unix_ms(call.rings_until)
    )
