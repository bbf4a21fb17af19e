"""One delivery of a Pub/Sub push subscription: envelope in, acknowledgement out.

https://cloud.google.com/pubsub/docs/push#receive_push
"""

from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from functions import telemetry
from functions.attempt import Attempt, MessageId
from functions.calls.event import CallEvent, MalformedEvent
from functions.inbound.retries import is_done
from functions.published import (
    ConnectionAccepted,
    ConnectionAdmitted,
    ConnectionClosed,
    DeviceGone,
    Published,
    decode,
)
from functions.scheduled import RingEnds
from functions.telemetry import Log

ACKNOWLEDGED = 204
RETRY = 503

log = Log(__name__)

Handle = Callable[[Published, Attempt], Awaitable[None]]


class _Message(msgspec.Struct, rename="camel"):
    message_id: MessageId
    data: bytes = b""  # base64 in the envelope
    attributes: dict[str, str] = {}


class _Envelope(msgspec.Struct, rename="camel"):
    message: _Message
    subscription: str = ""
    delivery_attempt: int | None = None


async def receive(request: Request, project: str, handle: Handle) -> Response:
    """Hands the delivered event to `handle`, and acknowledges it unless `handle` raises.

    A message that can't be read is logged and acknowledged, as no retry would help. If `handle`
    raises, Pub/Sub delivers the message again, with the subscription's back-off, and at last moves
    it to the dead-letter topic.
    """
    try:
        body = await request.body()
    except ClientDisconnect:
        return Response(status_code=RETRY)  # nobody gets this reply; Pub/Sub delivers again anyway
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
        event = decode(envelope.message.data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, MalformedEvent) as error:
        log.error("malformed delivery", error=f"{type(error).__name__}: {error}")
        return Response(status_code=ACKNOWLEDGED)
    trace = envelope.message.attributes.get("traceparent")
    attempt = Attempt(envelope.message.message_id, envelope.delivery_attempt)
    fields = {**_names(event), "deliveryAttempt": attempt.number}
    with telemetry.request(project, trace, **fields):
        is_over = await is_done(handle(event, attempt))
    return Response(status_code=ACKNOWLEDGED if is_over else RETRY)


def _names(event: Published) -> dict[str, object]:
    """The parts of an event that may be logged."""
    match event:
        case CallEvent(status=status, cause=cause, call_id=call_id, signal_id=signal_id):
            ids = {"callId": call_id, "signalId": signal_id}
            return {"status": status.value, "cause": cause, **ids}
        case (
            ConnectionAccepted(connection_id=id)
            | ConnectionAdmitted(connection_id=id)
            | ConnectionClosed(connection_id=id)
        ):
            return {"event": event.name, "connectionId": id}
        case RingEnds(call_id=call_id, signal_id=signal_id):
            return {"event": event.name, "callId": call_id, "signalId": signal_id}
        case DeviceGone():
            return {"event": event.name}
