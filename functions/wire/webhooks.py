"""What a webhook says, in JSON: `{"type", "timestamp", "data"}`, each with an id."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import msgspec

from functions.calls.call import Status
from functions.calls.event import CallEvent, Recipient, unix_ms
from functions.clients.device import FcmToken, InstallationId, device_id
from functions.dialect.dialect import USUAL, Dialect, Ids
from functions.published import DeviceGone
from functions.wire.push import Sending, push_data, push_of


@dataclass(frozen=True, slots=True)
class Webhook:
    """`id` is the same however often it is sent: printable ASCII without a dot, as its signature
    is over ID.TIME.BODY."""

    id: str
    type: str
    body: str


def call_webhook(event: CallEvent, sending: Sending, ids: Ids = USUAL.ids) -> Webhook:
    """A call has changed. Whatever is not known is null; ids are as the app has them."""
    rings = event.status is Status.RINGING
    data = {
        **_of_event(event, ids),
        "callerId": ids.user_out(event.caller_id),
        "receiverId": ids.user_out(event.receiver_id),
        "status": event.status.value,
        "previousStatus": event.previous_status,
        "by": ids.user_out(event.by) if event.by is not None else None,
        "cause": event.cause,
        "reason": event.reason,
        "ringsUntil": event.rings_until_ms,
        # Whatever it is, it is written as it came.
        "data": msgspec.Raw(event.data.encode()) if event.data else None,
        **(_of_ring(event, sending) if rings else {}),
    }
    id = f"{_plain(event.call_id)}:{_plain(event.signal_id)}"
    return _webhook(id, f"call.{event.status}", event.timestamp, data)


def push_webhook(
    event: CallEvent, recipient: Recipient, sending: Sending, dialect: Dialect = USUAL
) -> Webhook:
    """The backend is to send a recipient's FCM message, whose data is in the app's dialect."""
    data = {
        **_of_event(event, dialect.ids),
        "userId": dialect.ids.user_out(recipient.user_id),
        "data": push_data(event, recipient, sending, dialect),
        # On which of them he acted, who is told to stop ringing on the others.
        "passedOver": _passed_over(event, recipient),
        # For a receiver whose clock is wrong.
        "ttlSeconds": max(1, (event.holds_until - sending.at) // timedelta(seconds=1)),
        **(_of_ring(event, sending) if push_of(recipient).rings else {}),
    }
    parts = (event.call_id, event.signal_id, recipient.user_id)
    return _webhook(":".join(map(_plain, parts)), "push.wanted", event.timestamp, data)


def device_webhook(gone: DeviceGone, ids: Ids = USUAL.ids) -> Webhook:
    """A device can't be reached any more."""
    address = InstallationId(gone.fid) if gone.fid else FcmToken(gone.token or "")
    data = {
        "userId": ids.user_out(gone.user_id),
        "fid" if gone.fid else "token": str(address),
        "platform": gone.platform,
        "registeredAt": gone.registered_at,
        "occurredAt": gone.found_at,
    }
    id = f"{device_id(address)}:{gone.registered_at}"
    return _webhook(id, "device.gone", gone.found_at, data)


def _passed_over(event: CallEvent, recipient: Recipient) -> Sequence[str]:
    """The device that is not to be pushed, by the app's own name for it."""
    is_named = recipient.is_elsewhere and event.on_device is not None
    return [event.on_device] if is_named and event.on_device else []


def _of_event(event: CallEvent, ids: Ids) -> Mapping[str, object]:
    return {
        "callId": ids.call_out(event.call_id),
        "signalId": event.signal_id,
        "occurredAt": event.timestamp,
        "expiresAt": event.expires_at_ms,
    }


def _of_ring(event: CallEvent, sending: Sending) -> Mapping[str, object]:
    """What a woken phone needs, which the backend passes on to it."""
    return {
        "sentAt": sending.at_ms,
        "expiresAt": unix_ms(event.holds_until),
        "ringToken": sending.ring_token,
    }


def _webhook(id: str, type: str, at_ms: int, data: Mapping[str, object]) -> Webhook:
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    moment = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = msgspec.json.encode({"type": type, "timestamp": moment, "data": data}).decode()
    return Webhook(id, type, body)


def _plain(part: str) -> str:
    """Percent-encoded where it must be; ids of apps may be any text."""
    return quote(part, safe="").replace(".", "%2E")
