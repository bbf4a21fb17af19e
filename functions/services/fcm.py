"""Firebase Cloud Messaging: sends a recipient's data message to a device.

The message, the credential and the errors are firebase-admin's. The post is ours: the SDK's own
costs the CPU of several, and it repeats by itself what FCM failed to take. Pub/Sub does that
better: it waits longer, and the instance is free meanwhile.
"""

import asyncio
from datetime import datetime, timedelta
from http import HTTPStatus

import firebase_admin
from firebase_admin import credentials, exceptions, messaging
from google.auth.credentials import Credentials
from google.auth.exceptions import GoogleAuthError

from functions.calls.event import CallEvent, Recipient
from functions.clients.device import Device, DeviceId, FcmAddress, InstallationId
from functions.dialect.dialect import Dialect
from functions.ports.push_sender import PushOutcome, PushResult
from functions.recent import Recent
from functions.services.accesstoken import AccessToken
from functions.services.fcmerrors import error_in, outcome_of, retry_after
from functions.services.http import Answer, Http, NoAnswer
from functions.settings import PushSettings
from functions.wire.push import Sending, push_data, push_of

_FCM_URL = "https://fcm.googleapis.com"
_ATTEMPT_SECONDS = 5.0
_TOTAL_SECONDS = 10.0  # with fetching an access token; well within the ack deadline of `push`
_POSTS = 3  # of one message: FCM may not take an access token that seems to be valid
_LONGEST_PAUSE = timedelta(minutes=5)  # whatever FCM asks: a call that rings later must be tried
_PAUSES = 10_000  # devices that FCM asked to leave alone for a while; the oldest are forgotten
_HEADERS = {
    "Content-Type": "application/json",
    "X-GOOG-API-FORMAT-VERSION": "2",  # of its errors
    "X-FIREBASE-CLIENT": f"fire-admin-python/{firebase_admin.__version__}",
}


class FcmPushSender:
    """Sends data messages of one Firebase project."""

    def __init__(self, http: Http, token: AccessToken, url: str, dialect: Dialect) -> None:
        """`url` is that of the project's messages."""
        self._http = http
        self._token = token
        self._url = url
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
        """1 POST, or none while FCM has asked to leave the device alone (Retry-After). On a 401 a
        new access token is fetched, and it posts twice more."""
        if now < (self._paused_until.get(device.id) or now):
            return PushResult(device, PushOutcome.FAILED, "RetryAfter")
        sending = Sending(now, ring_token)
        sent = message(event, recipient, device.address, sending, self._dialect)  # in JSON, as text
        try:
            async with asyncio.timeout(_TOTAL_SECONDS):
                refusal = error_in(await self._post(f'{{"message": {sent}}}'))
        except (TimeoutError, exceptions.FirebaseError, GoogleAuthError) as error:
            return PushResult(device, PushOutcome.FAILED, type(error).__name__)
        if refusal is None:
            return PushResult(device, PushOutcome.SENT)
        if asked := retry_after(refusal, now):
            self._paused_until.put(device.id, now + min(asked, _LONGEST_PAUSE))
        return PushResult(device, outcome_of(refusal), type(refusal).__name__)

    async def warm_up(self) -> None:
        """1 POST, which delivers nothing: gets the access token and opens the connection.

        Raises FirebaseError when FCM can't be reached, and GoogleAuthError.
        """
        nobody = messaging.Message(token="warm-up", data={"type": "warm_up"})  # noqa: S106
        refusal = error_in(await self._post(f'{{"message": {nobody}, "validate_only": true}}'))
        if refusal and outcome_of(refusal) is PushOutcome.FAILED:
            raise refusal

    async def _post(self, body: str) -> Answer:
        """Raises GoogleAuthError, and FirebaseError if there is no answer."""
        refused = None
        for _ in range(_POSTS):
            shown = await self._token.headers(refused)
            answer = await self._posted(body, shown)
            if answer.status != HTTPStatus.UNAUTHORIZED:
                break
            refused = shown
        return answer

    async def _posted(self, body: str, shown: dict[str, str]) -> Answer:
        try:
            return await self._http.send("POST", self._url, _HEADERS | shown, body.encode())
        except NoAnswer as error:
            is_late = isinstance(error.__cause__, TimeoutError)
            kind = exceptions.DeadlineExceededError if is_late else exceptions.UnavailableError
            raise kind(str(error), cause=error) from error


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
    is_played = settings.fcm_url is not None
    credential = _LocalCredential() if is_played else credentials.ApplicationDefault()
    base = settings.fcm_url or _FCM_URL
    return FcmPushSender(
        Http(_ATTEMPT_SECONDS),
        AccessToken(credential),
        f"{base}/v1/projects/{settings.firebase}/messages:send",
        settings.dialect,
    )


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
