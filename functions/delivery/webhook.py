"""Tells one URL of the app's backend of what becomes of calls, and of what it is to push."""

import asyncio
from urllib.parse import urlsplit

from functions.attempt import Attempt, NotDelivered
from functions.calls.call import Status, UserId
from functions.calls.event import CallEvent
from functions.clients.ringtoken import RingToken
from functions.delivery.late import as_it_stands, is_expired
from functions.delivery.memory import Memory
from functions.dialect.dialect import USUAL, Dialect
from functions.ports.clock import Clock
from functions.ports.ring_tokens import RingTokens
from functions.ports.store import Outbox
from functions.ports.webhooks import NotTaken, Unwanted, Webhooks
from functions.published import DeviceGone
from functions.telemetry import Log, latency_ms
from functions.wire.push import Sending
from functions.wire.webhooks import Webhook, call_webhook, device_webhook, push_webhook

log = Log(__name__)


class WebhookDeliverer:
    """Posts to `url`."""

    def __init__(
        self,
        url: str,
        webhooks: Webhooks,
        outbox: Outbox,
        ring_tokens: RingTokens,
        clock: Clock,
        dialect: Dialect = USUAL,
    ) -> None:
        self._url = url
        self._host = urlsplit(url).hostname
        self._webhooks = webhooks
        self._outbox = outbox
        self._ring_tokens = ring_tokens
        self._clock = clock
        self._dialect = dialect
        self._memory: Memory[UserId] = Memory()  # whose pushes were asked for

    async def tell(self, event: CallEvent | DeviceGone) -> None:
        """Costs 1 POST, however late it comes: the app's own database is to follow in the end.

        Safe to run twice. Raises NotDelivered.
        """
        match event:
            case CallEvent():
                await self._post(call_webhook(event, self._sending(event), self._dialect.ids))
            case DeviceGone():
                await self._post(device_webhook(event, self._dialect.ids))

    async def ask_for_pushes(self, event: CallEvent, attempt: Attempt) -> None:
        """Costs 1 POST for each recipient whom the app's backend pushes. An event that comes late,
        or whose attempts nobody counts, costs 1 BatchGetDocuments before. One that has expired, or
        is no longer true, costs no POST: a late push would silence the next call.

        Safe to run twice. Raises StoreUnavailable and NotDelivered.
        """
        if not event.backend_recipients or is_expired(event, self._clock()):
            return
        if attempt.is_late(event, self._clock()):
            event, _ = await as_it_stands(self._outbox, event)
            if not event.backend_recipients:
                log.info("no longer true", outcome="untrue")
                return
        now = self._clock()
        if is_expired(event, now):  # while the store took its time
            return
        asked = self._memory.of(event.signal_id)
        left = [each for each in event.backend_recipients if each.user_id not in asked]
        sending = self._sending(event)
        webhooks = [push_webhook(event, each, sending, self._dialect) for each in left]
        ends = await asyncio.gather(*map(self._post, webhooks), return_exceptions=True)
        failures = [end for end in ends if end is not None]
        asked.update(each.user_id for each, end in zip(left, ends, strict=True) if end is None)
        if failures:
            raise failures[0]

    def _sending(self, event: CallEvent) -> Sending:
        """This attempt. A ring has a token for its receiver, on whichever device he is."""
        now = self._clock()
        if event.status is not Status.RINGING:
            return Sending(now, None)
        return Sending(
            now, self._ring_tokens.sign(RingToken(event.call_id, event.receiver_id), now)
        )

    async def _post(self, webhook: Webhook) -> None:
        """Raises NotDelivered."""
        began = self._clock()
        about = {"webhook": webhook.type, "host": self._host}
        try:
            await self._webhooks.post(self._url, webhook.id, webhook.body, began)
        except Unwanted:
            log.error("webhook unwanted", **about)
        except NotTaken as error:
            log.warning("webhook failed", **about, status=error.status, error=str(error))
            raise NotDelivered(f"the webhook was not taken: {error}") from error
        else:
            log.info("webhook taken", **about, latencyMs=latency_ms(began, self._clock()))
