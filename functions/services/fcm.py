"""Firebase Cloud Messaging: sends the data message that stops a phone's ring without a socket."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import uuid4

import firebase_admin
from firebase_admin import credentials, exceptions, messaging
from google.auth.credentials import Credentials
from google.auth.exceptions import GoogleAuthError

from functions.calls.event import CallEvent, Recipient
from functions.clients.device import Device, FcmToken
from functions.ports.push_sender import PushOutcome, PushResult
from functions.settings import PushSettings

_ATTEMPT_SECONDS = 5.0  # the SDK's own limit is 120 s, longer than any ring
_TOTAL_SECONDS = 10.0  # with the SDK's own retries; well within the ack deadline of `push`
_APNS_COLLAPSE_ID_LIMIT = 64  # bytes


class FcmPushSender:
    """Sends data messages through one Firebase app."""

    def __init__(self, app: firebase_admin.App) -> None:
        self._app = app

    async def send(
        self, event: CallEvent, recipient: Recipient, device: Device, now: datetime
    ) -> PushResult:
        """1 POST, and more if the SDK retries on 500 and 503."""
        try:
            async with asyncio.timeout(_TOTAL_SECONDS):
                messages = [message(event, recipient, device.token, now)]
                batch = await messaging.send_each_async(messages, app=self._app)
        except (TimeoutError, exceptions.FirebaseError, GoogleAuthError) as error:
            return PushResult(device, PushOutcome.FAILED, type(error).__name__)
        (response,) = batch.responses
        if response.success:
            return PushResult(device, PushOutcome.SENT)
        return PushResult(device, _outcome(response.exception), type(response.exception).__name__)

    async def warm_up(self) -> None:
        """1 POST, which delivers nothing: gets the access token and opens the connection.

        Raises FirebaseError when FCM can't be reached.
        """
        nobody = messaging.Message(token="warm-up", data={"type": "warm_up"})  # noqa: S106
        batch = await messaging.send_each_async([nobody], dry_run=True, app=self._app)
        (response,) = batch.responses
        if not response.success and _outcome(response.exception) is PushOutcome.FAILED:
            raise response.exception


def message(
    event: CallEvent, recipient: Recipient, token: FcmToken, now: datetime
) -> messaging.Message:
    """The message, data only: it wakes an app that is killed, and never shows by itself."""
    left = event.expires - now
    return messaging.Message(
        token=token,
        data=data(event, recipient),
        android=messaging.AndroidConfig(
            priority="high", ttl=left, collapse_key=event.call_id, direct_boot_ok=True
        ),
        apns=messaging.APNSConfig(
            headers={
                "apns-push-type": "background",
                "apns-priority": "5",  # the highest that Apple allows for a background push
                "apns-collapse-id": _collapse_id(event.call_id),
                "apns-expiration": str(int(event.expires.timestamp())),
            },
            payload=messaging.APNSPayload(messaging.Aps(content_available=True)),
        ),
        webpush=messaging.WebpushConfig(
            headers={"Urgency": "high", "TTL": str(max(1, left // timedelta(seconds=1)))}
        ),
    )


def data(event: CallEvent, recipient: Recipient) -> Mapping[str, str]:
    """What the app reads: `type`, `callId`, `callerId` and, where the recipient's push says so,
    `reason`."""
    push = recipient.push
    assert push  # noqa: S101 - others are sent no message
    fields = {"type": push.type, "callId": event.call_id, "callerId": event.caller_id}
    return {**fields, "reason": event.reason} if push.with_reason else fields


def connect(settings: PushSettings) -> FcmPushSender:
    """The sender of the project's messages, to FCM or to whatever plays FCM at FCM_URL."""
    credential: credentials.Base = credentials.ApplicationDefault()
    if settings.fcm_url:
        # The SDK offers no other way to set the address of FCM.
        path = "/v1/projects/{0}/messages:send"
        messaging._MessagingService.FCM_URL = settings.fcm_url + path
        credential = _LocalCredential()
    app = firebase_admin.initialize_app(
        credential,
        {"projectId": settings.project, "httpTimeout": _ATTEMPT_SECONDS},
        name=f"fcm-{uuid4()}",  # no two apps of a process may share a name
    )
    return FcmPushSender(app)


def _outcome(error: exceptions.FirebaseError) -> PushOutcome:
    match error:
        case messaging.UnregisteredError() | messaging.SenderIdMismatchError():
            return PushOutcome.DEAD
        case exceptions.InvalidArgumentError():
            return PushOutcome.REFUSED
        case _:
            return PushOutcome.FAILED


def _collapse_id(call_id: str) -> str:
    """The call id, or its SHA-256 in hex if APNs would not take an id so long."""
    if len(call_id.encode()) <= _APNS_COLLAPSE_ID_LIMIT:
        return call_id
    return sha256(call_id.encode()).hexdigest()


class _LocalToken(Credentials):
    """A made-up access token: whatever plays FCM does not check it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.token = "local"  # noqa: S105

    def refresh(self, request: object) -> None:
        """Does nothing, as the token does not expire."""


class _LocalCredential(credentials.Base):  # type: ignore[misc]
    def get_credential(self) -> _LocalToken:
        return _LocalToken()
