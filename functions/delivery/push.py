"""Sends an event's FCM message to every device of the recipients who have a push."""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from functions.attempt import Attempt, NotDelivered
from functions.calls.event import CallEvent, Recipient, unix_ms
from functions.clients.caps import capped
from functions.clients.device import Device, DeviceId, InstallationId, Platform
from functions.clients.ringtoken import RingToken
from functions.delivery.elsewhere import is_pushed, is_withheld
from functions.delivery.late import as_it_stands, is_expired
from functions.delivery.memory import Memory
from functions.ports.clock import Clock
from functions.ports.publisher import Publisher, PublishFailed
from functions.ports.push_sender import PushOutcome, PushResult, PushSender
from functions.ports.ring_tokens import RingTokens
from functions.ports.store import Store, StoreUnavailable
from functions.published import DeviceGone
from functions.telemetry import Log

log = Log(__name__)


class Pusher:
    """Sends an event to the devices that do not have it yet."""

    def __init__(
        self,
        store: Store,
        sender: PushSender,
        publisher: Publisher,
        ring_tokens: RingTokens,
        clock: Clock,
        devices_per_user: int,
    ) -> None:
        self._store = store
        self._sender = sender
        self._publisher = publisher
        self._ring_tokens = ring_tokens
        self._clock = clock
        self._devices_per_user = devices_per_user
        self._memory: Memory[DeviceId] = Memory()

    async def push(self, event: CallEvent, attempt: Attempt) -> None:
        """Costs 1 RunQuery, and 1 POST for each device that does not have the event yet; if tokens
        are dead, 1 Publish, and 1 Commit for each. An event that comes late costs 1
        BatchGetDocuments more. If it is late or a device was not reached, 1 Commit more. An event
        without a push costs nothing.

        Safe to run twice. Raises StoreUnavailable, and NotDelivered if FCM could not take a message
        just now.
        """
        if not event.push_recipients:
            return
        now = self._clock()
        if is_expired(event, now):
            return
        pushed = self._memory.of(event.signal_id)
        users = [recipient.user_id for recipient in event.push_recipients]
        found = await self._store.devices.of(users, now)
        devices = capped(found, self._devices_per_user, lambda each: each.version)
        is_late = attempt.is_late(event, self._clock())
        if is_late:  # the last look before FCM: a ring may have ended while its devices were read
            event, entry = await as_it_stands(self._store.outbox, event)
            if not event.push_recipients:
                log.info("no longer true", outcome="untrue")
                return
            # `pending_since` does not count here: it says only whether sockets are to be told.
            pushed |= entry.pushed if entry else frozenset()
        now = self._clock()  # FCM's TTL counts from here
        if is_expired(event, now):  # while Firestore took its time
            return
        left = [each for each in devices if each.id not in pushed]
        sent = await self._send(event, left, now)
        done = [
            each.device for each in sent if each.outcome in (PushOutcome.SENT, PushOutcome.REFUSED)
        ]
        pushed.update(device.id for device in done)
        _log(event, left, sent)
        await self._record(event, sent, done, is_late=is_late)

    async def _send(
        self, event: CallEvent, devices: Sequence[Device], now: datetime
    ) -> list[PushResult]:
        return await asyncio.gather(
            *(
                self._send_to(device, event, recipient, now)
                for device in devices
                if (recipient := event.recipient(device.user))
                and _reaches(recipient, device)
                and is_pushed(event, recipient, device)
            )
        )

    async def _send_to(
        self, device: Device, event: CallEvent, recipient: Recipient, now: datetime
    ) -> PushResult:
        try:
            token = self._ring_token(event, recipient, device, now)
            return await self._sender.send(event, recipient, device, now, token)
        except Exception as error:  # one device's trouble must not keep the event from the others
            log.exception("push failed", device=device.id)
            return PushResult(device, PushOutcome.FAILED, repr(error))

    def _ring_token(
        self, event: CallEvent, recipient: Recipient, device: Device, now: datetime
    ) -> str | None:
        """By which a phone that rings is known until its user is; None for others."""
        if not recipient.push or not recipient.push.rings:
            return None
        token = RingToken(event.call_id, recipient.user_id, device.app_id, device.id)
        return self._ring_tokens.sign(token, now)

    async def _record(
        self,
        event: CallEvent,
        sent: Collection[PushResult],
        done: Collection[Device],
        *,
        is_late: bool,
    ) -> None:
        for failure in _by(PushOutcome.REFUSED, sent) + _by(PushOutcome.FAILED, sent):
            log.error("push failed", device=failure.device.id, error=failure.error)
        failed = _by(PushOutcome.FAILED, sent)
        # A late event may come once more: `sweep` republishes it until every socket has been
        # reached.
        if failed or is_late:
            await self._note(event, done, needed=bool(failed))
        await self._forget([found.device for found in _by(PushOutcome.DEAD, sent)])
        if failed:
            raise NotDelivered(f"{len(failed)} devices were not reached")

    async def _note(self, event: CallEvent, done: Collection[Device], *, needed: bool) -> None:
        """Notes which devices are done. Unless a retry needs that, a failure is only logged."""
        try:
            await self._store.outbox.note_pushed(event, done)
        except StoreUnavailable as error:
            if needed:
                raise
            log.warning("not remembered", error=str(error))

    async def _forget(self, dead: list[Device]) -> None:
        """Says that these are gone, and forgets them: 1 Publish, and 1 Commit for each device. A
        failure is only logged, and what nobody was told stays."""
        if not dead:
            return
        now = self._clock()
        try:
            await self._publisher.publish(*(_gone(device, now) for device in dead))
            await asyncio.gather(*map(self._store.devices.forget, dead))
        except (PublishFailed, StoreUnavailable) as error:
            # No retry: the next event meets the token again, and nobody must get this one twice.
            log.warning("dead tokens stay", error=str(error))


def _log(event: CallEvent, devices: Iterable[Device], sent: Collection[PushResult]) -> None:
    """Of an attempt on `devices`: what became of the messages that were sent."""
    recipients = ((event.recipient(each.user), each) for each in devices)
    log.info(
        "pushed",
        **{outcome.name.lower(): len(_by(outcome, sent)) for outcome in PushOutcome},
        elsewhere=event.elsewhere(each.device.user for each in _by(PushOutcome.SENT, sent)),
        withheld=sum(1 for he, each in recipients if he and is_withheld(event, he, each)),
    )


def _gone(device: Device, now: datetime) -> DeviceGone:
    is_fid = isinstance(device.address, InstallationId)
    return DeviceGone(
        user_id=device.user,
        platform=device.platform.value,
        registered_at=unix_ms(device.version),
        found_at=unix_ms(now),
        **{"fid" if is_fid else "token": str(device.address)},
    )


def _reaches(recipient: Recipient, device: Device) -> bool:
    """Whether a message does what it is for: on Apple's phones nothing but a VoIP push rings."""
    return not (recipient.push and recipient.push.rings and device.platform is Platform.IOS)


def _by(outcome: PushOutcome, sent: Collection[PushResult]) -> list[PushResult]:
    return [found for found in sent if found.outcome is outcome]
