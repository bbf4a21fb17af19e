"""Firebase Cloud Messaging: sends a recipient's data message to a device."""

import asyncio
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from uuid import uuid4

import firebase_admin
from firebase_admin import _http_client, credentials, exceptions, messaging
from google.auth.credentials import Credentials
from google.auth.exceptions import GoogleAuthError

from functions.calls.event import CallEvent, Recipient
from functions.clients.device import Device, DeviceId, FcmAddress, InstallationId
from functions.dialect.dialect import Dialect
from functions.ports.push_sender import PushOutcome, PushResult
from functions.recent import Recent
from functions.settings import PushSettings
from functions.wire.push import Sending, push_data, push_of

_ATTEMPT_SECONDS = 5.0  # the SDK's own limit is 120 s, longer than any ring
_TOTAL_SECONDS = 10.0  # with fetching an access token; well within the ack deadline of `push`
_LONGEST_PAUSE = timedelta(minutes=5)  # whatever FCM asks: a call that rings later must be tried
_PAUSES = 10_000  # devices that FCM asked to leave alone for a while; the oldest are forgotten
# What FCM says of a token that no app can have, with INVALID_ARGUMENT and without naming a field.
_NO_TOKEN = "registration token is not a valid"  # noqa: S105


class FcmPushSender:
    """Sends data messages through one Firebase app."""

    def __init__(self, app: firebase_admin.App, dialect: Dialect) -> None:
        self._app = app
        self._dialect = dialect
        self._paused_until: Recent[DeviceId, datetime] = Recent(_PAUSES)

    async def send(
        self,
        event: CallEvent,
        recipient: Recipient,
        device: Device,
        now: datetime,
        ring_token: str | None = None,
    ) -> PushResult:
        """1 POST, or none while FCM has asked to leave the device alone (Retry-After). On a 401 the
        SDK gets a new access token, and posts twice more."""
        if now < (self._paused_until.get(device.id) or now):
            return PushResult(device, PushOutcome.FAILED, "RetryAfter")
        try:
            async with asyncio.timeout(_TOTAL_SECONDS):
                sending = Sending(now, ring_token)
                messages = [message(event, recipient, device.address, sending, self._dialect)]
                batch = await messaging.send_each_async(messages, app=self._app)
        except (TimeoutError, exceptions.FirebaseError, GoogleAuthError) as error:
            return PushResult(device, PushOutcome.FAILED, type(error).__name__)
        (response,) = batch.responses
        if response.success:
            return PushResult(device, PushOutcome.SENT)
        refusal = response.exception
        if pause := _retry_after(refusal, now):
            self._paused_until.put(device.id, now + pause)
        return PushResult(device, _outcome(refusal), type(refusal).__name__)

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
    event: CallEvent, recipient: Recipient, to: FcmAddress, sending: Sending, dialect: Dialect
) -> messaging.Message:
    """The message, data only: it wakes an app that is killed, and never shows by itself.

    It has no collapse key: FCM holds messages with one back for minutes after some twenty to an app
    (https://firebase.google.com/docs/cloud-messaging/throttling-and-quotas).
    """
    left = max(event.holds_until - sending.at, timedelta(0))
    push = push_of(recipient)
    return messaging.Message(
        **{"fid" if isinstance(to, InstallationId) else "token": str(to)},
        data=dict(push_data(event, recipient, sending, dialect)),
        # By it, Firebase's delivery data tells how phones got the messages of this type.
        fcm_options=messaging.FCMOptions(analytics_label=push.type),
        android=messaging.AndroidConfig(priority="high", ttl=left, direct_boot_ok=True),
        apns=messaging.APNSConfig(
            headers={
                "apns-push-type": "background",
                "apns-priority": "5",  # the highest that Apple allows for a background push
                "apns-expiration": str(int(event.holds_until.timestamp())),
            },
            payload=messaging.APNSPayload(messaging.Aps(content_available=True)),
        ),
        webpush=messaging.WebpushConfig(
            headers={"Urgency": "high", "TTL": str(max(1, left // timedelta(seconds=1)))}
        ),
    )


def connect(settings: PushSettings) -> FcmPushSender:
    """The sender of FIREBASE_PROJECT's messages, to FCM or to whatever plays FCM at FCM_URL."""
    # The SDK would repeat by itself what FCM failed to take, up to four times within seven seconds.
    # Pub/Sub does that better: it waits longer, and the instance is free meanwhile. There is no
    # public setting.
    _http_client.DEFAULT_HTTPX_RETRY_CONFIG.retries_left = 0
    credential: credentials.Base = credentials.ApplicationDefault()
    if settings.fcm_url:
        # The SDK offers no other way to set the address of FCM.
        path = "/v1/projects/{0}/messages:send"
        messaging._MessagingService.FCM_URL = settings.fcm_url + path
        credential = _LocalCredential()
    app = firebase_admin.initialize_app(
        credential,
        {"projectId": settings.firebase, "httpTimeout": _ATTEMPT_SECONDS},
        name=f"fcm-{uuid4()}",  # no two apps of a process may share a name
    )
    return FcmPushSender(app, settings.dialect)


def _outcome(error: exceptions.FirebaseError) -> PushOutcome:
    match error:
        case messaging.UnregisteredError():
            return PushOutcome.DEAD
        # The fault may be ours: the wrong project, or one whose key for Apple's phones is wrong.
        case messaging.SenderIdMismatchError() | messaging.ThirdPartyAuthError():
            return PushOutcome.REFUSED
        case exceptions.InvalidArgumentError():
            return PushOutcome.DEAD if _is_about_token(error) else PushOutcome.REFUSED
        case _:
            return PushOutcome.FAILED


def _is_about_token(error: exceptions.InvalidArgumentError) -> bool:
    """Whether FCM refuses the token, which nobody can mend, rather than what we send to it."""
    if _NO_TOKEN in str(error):
        return True
    try:
        details = error.http_response.json()["error"]["details"]
        fields = [each["field"] for detail in details for each in detail.get("fieldViolations", ())]
    except (AttributeError, KeyError, TypeError, ValueError):  # not as Google writes errors
        return False
    return not {"message.token", "message.fid"}.isdisjoint(fields)


def _retry_after(error: exceptions.FirebaseError, now: datetime) -> timedelta | None:
    """How long FCM asks us to wait, in seconds or until a date; None if it doesn't say."""
    response = error.http_response
    header = response.headers.get("retry-after", "") if response is not None else ""
    try:
        if header.isdecimal():
            asked = timedelta(seconds=int(header))
        else:
            asked = parsedate_to_datetime(header) - now
        return min(asked, _LONGEST_PAUSE)
    except (OverflowError, TypeError, ValueError):
        return None


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
