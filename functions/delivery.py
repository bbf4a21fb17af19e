"""One delivery of a Pub/Sub push subscription: envelope in, acknowledgement out.

https://cloud.google.com/pubsub/docs/push#receive_push
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from functions import telemetry
from functions.calls.event import CallEvent, MalformedEvent
from functions.published import ConnectionAdmitted, ConnectionOpened, Published, decode
from functions.services.documents import MessageId
from functions.services.remote import StoreUnavailable
from functions.telemetry import Log

ACKNOWLEDGED = 204
RETRY = 503

# Younger than this, a first delivery finds the call as its signal has just left it.
_PROMPT = timedelta(seconds=2)

log = Log(__name__)


class NotDelivered(Exception):
    """Somebody who should have the event doesn't; Pub/Sub must deliver it again."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt of Pub/Sub to deliver a message."""

    message: MessageId
    attempt: int | None = None  # from 1; None where the service does not count, as the emulator

    def is_late(self, event: CallEvent, now: datetime) -> bool:
        """Whether somebody may have the event already, or the call have gone on since: so of a
        retry, of a copy, and of what took its time."""
        return event.served is None or self.attempt != 1 or now - event.decided_at > _PROMPT


Handler = Callable[[Published, Delivery], Awaitable[None]]


class _Message(msgspec.Struct, rename="camel"):
    message_id: MessageId
    data: bytes = b""  # base64 in the envelope
    attributes: dict[str, str] = {}


class _Envelope(msgspec.Struct, rename="camel"):
    message: _Message
    subscription: str = ""
    delivery_attempt: int | None = None


async def receive(request: Request, project: str, handle: Handler) -> Response:
    """Hands the delivered event to `handle`, and tells Pub/Sub whether it is done with.

    What can't be read is logged and acknowledged: it would never get better. What `handle` raises
    is retried, with the subscription's back-off, and ends in the dead-letter topic.
    """
    try:
        body = await request.body()
    except ClientDisconnect:
        return Response(status_code=RETRY)  # which nobody hears: it comes again anyway
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
        event = decode(envelope.message.data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, MalformedEvent) as error:
        log.error("malformed delivery", error=f"{type(error).__name__}: {error}")
        return Response(status_code=ACKNOWLEDGED)
    trace = envelope.message.attributes.get("traceparent")
    delivery = Delivery(envelope.message.message_id, envelope.delivery_attempt)
    fields = {**_names(event), "deliveryAttempt": delivery.attempt}
    with telemetry.request(project, trace, **fields):
        return Response(status_code=await _attempt(handle, event, delivery))


def _names(event: Published) -> dict[str, object]:
    """What of an event may be logged."""
    match event:
        case CallEvent(signal=signal, call_id=call_id, signal_id=signal_id):
            return {"signal": signal, "callId": call_id, "signalId": signal_id}
        case ConnectionOpened(connection_id=id) | ConnectionAdmitted(connection_id=id):
            return {"event": event.name, "connectionId": id}


async def _attempt(handle: Handler, event: Published, delivery: Delivery) -> int:
    try:
        await handle(event, delivery)
    except (NotDelivered, StoreUnavailable) as error:
        log.warning("will be retried", error=f"{type(error).__name__}: {error}")
        return RETRY
    except Exception:  # the last stop before the framework, which would log it in its own way
        log.exception("delivery failed")
        return RETRY
    return ACKNOWLEDGED
