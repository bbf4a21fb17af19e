"""`push`: sends the FCM data message to every device of the told user."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from functools import cache

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from functions import settings
from functions.calls.event import CallEvent
from functions.delivery import Delivery, NotDelivered, receive
from functions.memory import Memory
from functions.published import Published
from functions.services import fcm, firestore
from functions.services.documents import Device, DeviceId
from functions.services.fcm import Messenger, Outcome, Sent
from functions.services.firestore import Store
from functions.services.remote import StoreUnavailable
from functions.telemetry import Log
from functions.warmup import Step, WarmUp

log = Log(__name__)


@functions_framework.aio.http
async def push(request: Request) -> Response:
    """Takes one delivery of the subscription to what phones are pushed; a GET warms up."""
    if request.method == "GET":
        return await _WARM_UP.answer()
    return await receive(request, _settings().project, _pusher().push)


class Pusher:
    """Sends an event to the devices that don't have it yet."""

    def __init__(self, store: Store, messenger: Messenger) -> None:
        self._store = store
        self._messenger = messenger
        self._memory: Memory[DeviceId] = Memory()

    def warm_up_steps(self) -> Sequence[Step]:
        return (self._store.warm_up, self._messenger.warm_up)

    async def push(self, event: Published, delivery: Delivery) -> None:
        """1 RunQuery, 1 POST for each device, 1 Commit for each dead token; of what comes late 1
        BatchGetDocuments before; then, or when some could not be reached, 1 Commit more.

        Safe to run twice. Raises StoreUnavailable, and NotDelivered when FCM could not take a
        message just now.
        """
        # The subscription's filter says the same, but Google's emulator ignores filters.
        if not isinstance(event, CallEvent) or not event.pushed:
            return
        now = datetime.now(UTC)
        if event.expired(now):
            log.warning("expired", outcome="expired")
            return
        pushed = self._memory.told(event.signal_id)
        is_late = delivery.is_late(event, now)
        if is_late:
            known = await self._store.outbox.known(event)
            event = event.told_to(event.still_true(known.call))
            if not event.pushed:
                log.info("no longer true", outcome="untrue")
                return
            # That nothing is pending says nothing of phones: `deliver` may have been faster.
            pushed |= known.entry.pushed if known.entry else frozenset()
        devices = await self._store.devices_of([each.user_id for each in event.pushed], now)
        now = datetime.now(UTC)  # from which FCM's TTL is reckoned
        sent = await asyncio.gather(
            *(
                self._messenger.send(event, recipient.push, device, now)
                for device in devices
                if device.id not in pushed
                and (recipient := event.recipient(device.user))
                and recipient.push
            )
        )
        done = [each.device for each in sent if each.outcome in (Outcome.SENT, Outcome.REFUSED)]
        pushed.update(device.id for device in done)
        await self._record(event, sent, done, is_late=is_late)

    async def _record(
        self, event: CallEvent, sent: Collection[Sent], done: Collection[Device], *, is_late: bool
    ) -> None:
        log.info("pushed", **{outcome.name.lower(): len(_by(outcome, sent)) for outcome in Outcome})
        for failure in _by(Outcome.REFUSED, sent) + _by(Outcome.FAILED, sent):
            log.error("push failed", device=failure.device.id, error=failure.error)
        failed = _by(Outcome.FAILED, sent)
        # What is late may come once more: a copy is one of several, as long as a socket is not
        # reached.
        if failed or is_late:
            await self._note(event, done, needed=bool(failed))
        await self._forget([found.device for found in _by(Outcome.DEAD, sent)])
        if failed:
            raise NotDelivered(f"{len(failed)} devices were not reached")

    async def _note(self, event: CallEvent, done: Collection[Device], *, needed: bool) -> None:
        """Who has the event; if nobody is left to be reached, it need not come again for that."""
        try:
            await self._store.outbox.note_pushed(event, done)
        except StoreUnavailable as error:
            if needed:
                raise
            log.warning("not remembered", error=str(error))

    async def _forget(self, dead: list[Device]) -> None:
        try:
            await asyncio.gather(*map(self._store.forget_device, dead))
        except StoreUnavailable as error:
            # The next event meets the token again; those who have this one must not get it twice.
            log.warning("dead tokens stay", error=str(error))


def _by(outcome: Outcome, sent: Collection[Sent]) -> list[Sent]:
    return [found for found in sent if found.outcome is outcome]


@cache
def _settings() -> settings.Settings:
    return settings.load("push")


@cache
def _pusher() -> Pusher:
    return Pusher(firestore.connect(_settings()), fcm.connect(_settings()))


_WARM_UP = WarmUp(lambda: _pusher().warm_up_steps())
