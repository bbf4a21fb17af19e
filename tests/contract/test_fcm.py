"""The push message as FCM gets it, and what becomes of one that FCM does not take."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from firebase_admin import messaging
from firebase_admin.exceptions import FirebaseError

from functions.calls.call import CallId, UserId
from functions.calls.event import CallEvent
from functions.clients.device import Device, FcmToken, Platform, device_id
from functions.ports.push_sender import PushOutcome, PushResult
from functions.services import fcm
from functions.services.fcm import FcmPushSender
from functions.settings import PushSettings
from infra.emulators.fcm import FcmServer
from infra.emulators.fcm.errors import FcmError
from tests.support.makers import CALL, CALLER, RECEIVER, event, now
from tests.support.processes import settings_of


@pytest.fixture(scope="module")
async def fcm_server() -> AsyncIterator[FcmServer]:
    async with FcmServer() as server:
        yield server


@pytest.fixture(scope="module")
def sender(fcm_server: FcmServer) -> FcmPushSender:
    return fcm.connect(settings_of(PushSettings, FCM_URL=fcm_server.url))


@pytest.fixture
def inbox(fcm_server: FcmServer) -> FcmServer:
    fcm_server.clear()
    fcm_server.heal()
    return fcm_server


def device(token: str, user: UserId) -> Device:
    id = device_id(FcmToken(token))
    return Device(id, user, FcmToken(token), Platform.ANDROID, now() + timedelta(days=1), now())


async def send(
    sender: FcmPushSender,
    made: CallEvent,
    to: str = "phone",
    user: UserId = RECEIVER,
    at: datetime | None = None,
) -> PushResult:
    recipient = made.recipient(user)
    assert recipient is not None
    return await sender.send(made, recipient, device(to, user), at or now())


async def test_a_cancel_arrives_as_data_alone(sender: FcmPushSender, inbox: FcmServer) -> None:
    made = event()
    assert (await send(sender, made)).outcome is PushOutcome.SENT
    (message,) = inbox.messages
    assert message["token"] == "phone"
    assert message["data"] == {"type": "call_cancelled", "callId": CALL, "callerId": CALLER}
    assert "notification" not in message
    assert message["android"]["priority"] == "high"
    assert message["android"]["collapse_key"] == CALL
    assert message["android"]["direct_boot_ok"] is True
    assert 25 < float(message["android"]["ttl"].rstrip("s")) <= 30
    assert message["apns"]["headers"] == {
        "apns-push-type": "background",
        "apns-priority": "5",
        "apns-collapse-id": CALL,
        "apns-expiration": str(int(made.expires.timestamp())),
    }
    assert message["webpush"]["headers"]["Urgency"] == "high"
    assert 25 <= int(message["webpush"]["headers"]["TTL"]) <= 30
    assert message["apns"]["payload"] == {"aps": {"content-available": 1}}


async def test_a_rejection_carries_its_reason_to_the_caller(
    sender: FcmPushSender, inbox: FcmServer
) -> None:
    await send(sender, event("call:reject"), user=CALLER)
    (message,) = inbox.messages
    assert message["data"] == {
        "type": "call_rejected",
        "callId": CALL,
        "callerId": CALLER,
        "reason": "Caller ended call",
    }


async def test_a_message_lives_as_long_as_its_event_has_left(
    sender: FcmPushSender, inbox: FcmServer
) -> None:
    made = event()
    await send(sender, made, at=made.expires - timedelta(seconds=10))
    (message,) = inbox.messages
    assert message["android"]["ttl"] == "10s"
    assert message["webpush"]["headers"]["TTL"] == "10"
    assert message["apns"]["headers"]["apns-expiration"] == str(int(made.expires.timestamp()))


async def test_a_long_call_id_still_fits_apples_collapse_id(
    sender: FcmPushSender, inbox: FcmServer
) -> None:
    await send(sender, event(call=CallId("x" * 128)))
    (message,) = inbox.messages
    assert len(message["apns"]["headers"]["apns-collapse-id"]) == 64


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (FcmError.UNREGISTERED, PushOutcome.DEAD),
        (FcmError.SENDER_ID_MISMATCH, PushOutcome.DEAD),
        (FcmError.INVALID_ARGUMENT, PushOutcome.REFUSED),
        (FcmError.QUOTA_EXCEEDED, PushOutcome.FAILED),
        (FcmError.THIRD_PARTY_AUTH_ERROR, PushOutcome.FAILED),
    ],
)
async def test_what_fcm_answers_says_what_became_of_the_message(
    sender: FcmPushSender, inbox: FcmServer, error: FcmError, outcome: PushOutcome
) -> None:
    inbox.fail("phone", error)
    sent = await send(sender, event())
    assert sent.outcome is outcome
    assert sent.error is not None
    assert inbox.messages == []


async def test_a_message_that_fcm_refuses_is_sent_once(
    sender: FcmPushSender, inbox: FcmServer
) -> None:
    inbox.fail("odd", FcmError.INVALID_ARGUMENT)
    await send(sender, event(), to="odd")
    assert inbox.attempts("odd") == 1


async def test_a_passing_failure_of_fcm_is_overcome_at_once(
    sender: FcmPushSender, inbox: FcmServer
) -> None:
    inbox.fail("phone", FcmError.UNAVAILABLE, times=1)
    assert (await send(sender, event())).outcome is PushOutcome.SENT
    assert len(inbox.messages) == 1


async def test_warming_up_sends_nothing(sender: FcmPushSender, inbox: FcmServer) -> None:
    await sender.warm_up()
    assert inbox.messages == []


@pytest.mark.parametrize("error", [FcmError.INVALID_ARGUMENT, FcmError.UNREGISTERED])
async def test_warming_up_does_not_mind_that_its_token_is_no_phones(
    sender: FcmPushSender, inbox: FcmServer, error: FcmError
) -> None:
    inbox.fail("warm-up", error)
    before = inbox.attempts("warm-up")
    await sender.warm_up()
    assert inbox.attempts("warm-up") == before + 1


async def test_warming_up_fails_where_fcm_takes_nothing(
    sender: FcmPushSender, inbox: FcmServer
) -> None:
    inbox.fail("warm-up", FcmError.QUOTA_EXCEEDED)
    with pytest.raises(FirebaseError):
        await sender.warm_up()


async def test_a_message_that_fcm_does_not_answer_is_given_up(
    sender: FcmPushSender, inbox: FcmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcm, "_TOTAL_SECONDS", 0.2)
    inbox.fail("lost", FcmError.HANG)
    sent = await send(sender, event(), to="lost")
    assert (sent.outcome, sent.error) == (PushOutcome.FAILED, "TimeoutError")
    assert inbox.attempts("lost") == 1


@dataclass
class Account:
    """A service account, and how often an access token was asked for in its name."""

    is_known: bool = True
    asked: int = 0

    def access_token(self) -> tuple[int, dict[str, object]]:
        self.asked += 1
        if not self.is_known:
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": "granted", "expires_in": 3600}


@contextmanager
def token_server(account: Account) -> Iterator[str]:
    """In a thread: the SDK asks for the token in the event loop, which does nothing meanwhile."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = account.access_token()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            """Says nothing of requests."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/token"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def account(
    tmp_path: Path, fcm_server: FcmServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Account]:
    """It is the default of this process, whose FCM is the emulator whatever its settings say."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    account, file = Account(), tmp_path / "account.json"
    with token_server(account) as url:
        fields = {
            "type": "service_account",
            "client_email": "push@unring-test.iam.gserviceaccount.com",
            "private_key": pem.decode(),
            "token_uri": url,
        }
        file.write_text(json.dumps(fields))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
        address = fcm_server.url + "/v1/projects/{0}/messages:send"
        monkeypatch.setattr(messaging._MessagingService, "FCM_URL", address)
        yield account


async def test_without_an_fcm_of_its_own_a_function_sends_with_its_accounts_access_token(
    account: Account, inbox: FcmServer
) -> None:
    sender = fcm.connect(settings_of(PushSettings))
    for _ in range(2):
        assert (await send(sender, event())).outcome is PushOutcome.SENT
    assert len(inbox.messages) == 2
    assert account.asked == 1


async def test_without_an_access_token_nothing_is_sent(account: Account, inbox: FcmServer) -> None:
    account.is_known = False
    sent = await send(fcm.connect(settings_of(PushSettings)), event())
    assert sent.outcome is PushOutcome.FAILED
    assert account.asked > 0
    assert inbox.messages == []
