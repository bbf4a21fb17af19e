"""The push message as FCM gets it, and what becomes of one that FCM does not take."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from firebase_admin.exceptions import FirebaseError, InvalidArgumentError
from firebase_admin.messaging import QuotaExceededError

from functions.calls.call import SignalId, UserId
from functions.calls.event import CallEvent
from functions.calls.ring import Ring
from functions.clients.device import Device, FcmToken, InstallationId, Platform, device_id
from functions.clients.ringtoken import RingToken
from functions.ports.push_sender import PushOutcome, PushResult
from functions.services import fcm
from functions.services.fcm import FcmPushSender
from functions.services.fcmerrors import outcome_of, retry_after
from functions.services.http import Answer
from functions.settings import PushSettings
from functions.wire.requests import InvalidRequest, ring_in
from infra import ROOT
from infra.emulators.fcm import FcmServer
from infra.emulators.fcm.errors import FcmError
from tests.support.makers import CALL, CALLER, RECEIVER, RING_TOKENS, event, now
from tests.support.processes import settings_of
from tests.support.rawhttp import raw_server, saying


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
    # FCM would hold back what has one, for minutes, after some ten short calls in a row.
    assert "collapse_key" not in message["android"]
    assert message["fcm_options"] == {"analytics_label": "call_cancelled"}
    assert message["android"]["direct_boot_ok"] is True
    assert 25 < float(message["android"]["ttl"].rstrip("s")) <= 30
    assert message["apns"]["headers"] == {
        "apns-push-type": "background",
        "apns-priority": "5",
        "apns-expiration": str(int(made.expires_at.timestamp())),
    }
    assert message["webpush"]["headers"]["Urgency"] == "high"
    assert 25 <= int(message["webpush"]["headers"]["TTL"]) <= 30
    assert message["apns"]["payload"] == {"aps": {"content-available": 1}}


@pytest.mark.parametrize("id_length", [36, 128])
async def test_the_largest_ring_that_is_taken_is_sent_with_the_longest_ring_token(
    sender: FcmPushSender, inbox: FcmServer, id_length: int
) -> None:
    id, receiver = "c" * id_length, UserId("r" * id_length)

    def taken(size: int) -> Ring | None:
        asked = {"callerId": "a" * id_length, "receiverId": receiver, "data": {"x": "x" * size}}
        try:
            return ring_in(id, asked, 30)
        except InvalidRequest:
            return None

    largest = next(ring for size in range(3000, 0, -1) if (ring := taken(size)))
    assert largest.data
    # Ids as they usually are cost the app nothing of what it may pass on.
    assert len(largest.data) == 3000 or id_length == 128
    made = CallEvent.of_ring(largest.begun(SignalId("S"), now(), None), SignalId("S"), now())
    to = device("phone", receiver)
    token = RING_TOKENS.sign(RingToken(largest.call_id, receiver, "d" * 128, to.id), now())
    sent = await sender.send(made, made.recipients[0], to, now(), token)
    assert sent.outcome is PushOutcome.SENT
    (message,) = inbox.messages
    assert message["data"]["ringToken"] == token


async def test_a_ring_reaches_no_phone_that_wakes_after_its_end(
    sender: FcmPushSender, inbox: FcmServer
) -> None:
    ring = Ring(CALL, CALLER, RECEIVER, 5, None, is_told=True)
    made = CallEvent.of_ring(ring.begun(SignalId("S"), now(), None), SignalId("S"), now())
    assert (await send(sender, made)).outcome is PushOutcome.SENT
    late = made.expires_at  # the event lives longer than so short a ring
    assert (await send(sender, made, at=late)).outcome is PushOutcome.SENT
    first, second = inbox.messages
    assert 4 < float(first["android"]["ttl"].rstrip("s")) <= 5
    assert float(second["android"]["ttl"].rstrip("s")) == 0
    ends = str(int((made.rings_until or late).timestamp()))
    assert first["apns"]["headers"]["apns-expiration"] == ends
    assert int(first["webpush"]["headers"]["TTL"]) in (4, 5)


async def test_a_message_has_the_apps_words_and_a_label_of_ours(inbox: FcmServer) -> None:
    dialect = str(ROOT / "docs/dialects/snake-case.toml")
    sender = fcm.connect(settings_of(PushSettings, FCM_URL=inbox.url, DIALECT=dialect))
    await send(sender, event())
    (message,) = inbox.messages
    assert message["data"] == {"type": "CALL_CANCELLED", "call_id": CALL, "caller_id": CALLER}
    assert message["fcm_options"] == {"analytics_label": "call_cancelled"}


async def test_a_device_that_has_an_installation_id_is_reached_by_it(
    sender: FcmPushSender, inbox: FcmServer
) -> None:
    made, to = event(), device("fid", RECEIVER)
    recipient = made.recipient(RECEIVER)
    assert recipient is not None
    await sender.send(made, recipient, replace(to, address=InstallationId("fid")), now())
    (message,) = inbox.messages
    assert message["fid"] == "fid"
    assert "token" not in message


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
    await send(sender, made, at=made.expires_at - timedelta(seconds=10))
    (message,) = inbox.messages
    assert message["android"]["ttl"] == "10s"
    assert message["webpush"]["headers"]["TTL"] == "10"
    assert message["apns"]["headers"]["apns-expiration"] == str(int(made.expires_at.timestamp()))


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (FcmError.UNREGISTERED, PushOutcome.DEAD),
        (FcmError.SENDER_ID_MISMATCH, PushOutcome.REFUSED),  # perhaps the project is the wrong one
        (FcmError.INVALID_ARGUMENT, PushOutcome.DEAD),  # of a token that no app can have
        (FcmError.QUOTA_EXCEEDED, PushOutcome.FAILED),
        (FcmError.THIRD_PARTY_AUTH_ERROR, PushOutcome.REFUSED),  # perhaps Apple's key is wrong
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


async def test_a_token_that_fcm_names_as_the_wrong_field_is_dead() -> None:
    for name, outcome in (
        ("message.token", PushOutcome.DEAD),
        ("message.fid", PushOutcome.DEAD),
        ("message.data", PushOutcome.REFUSED),
    ):
        violation = {"field": name, "description": "Invalid"}
        body = json.dumps({"error": {"details": [{"fieldViolations": [violation]}]}})
        error = InvalidArgumentError("Invalid", http_response=Answer(400, body.encode()))
        assert outcome_of(error) is outcome


@pytest.mark.parametrize(
    "answer", [b"no JSON", b"[]", b'{"error": {}}', b'{"error": {"details": [1]}}']
)
async def test_an_answer_that_is_not_googles_says_nothing_of_a_token(answer: bytes) -> None:
    error = InvalidArgumentError("Invalid", http_response=Answer(400, answer))
    assert outcome_of(error) is PushOutcome.REFUSED


async def test_what_is_wrong_with_a_message_is_no_fault_of_its_token(
    sender: FcmPushSender, inbox: FcmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcm, "push_data", lambda *_: {"google.ours": "no such key is allowed"})
    assert (await send(sender, event())).outcome is PushOutcome.REFUSED


async def test_what_fcm_could_not_take_is_left_to_the_next_delivery(
    sender: FcmPushSender, inbox: FcmServer
) -> None:
    inbox.fail("phone", FcmError.UNAVAILABLE, times=1)
    before = inbox.attempts("phone")
    assert (await send(sender, event())).outcome is PushOutcome.FAILED
    assert inbox.attempts("phone") == before + 1
    assert (await send(sender, event())).outcome is PushOutcome.SENT


async def test_a_device_is_left_alone_for_as_long_as_fcm_asks(
    sender: FcmPushSender, inbox: FcmServer
) -> None:
    inbox.fail("phone", FcmError.QUOTA_EXCEEDED, times=1, retry_after=10)
    made, began, before = event(), now(), inbox.attempts("phone")
    assert (await send(sender, made, at=began)).outcome is PushOutcome.FAILED
    waiting = await send(sender, made, at=began + timedelta(seconds=9))
    assert (waiting.outcome, waiting.error) == (PushOutcome.FAILED, "RetryAfter")
    assert inbox.attempts("phone") == before + 1
    # Other devices are not meant, and are told meanwhile.
    assert (await send(sender, made, to="tablet", at=began)).outcome is PushOutcome.SENT
    later = await send(sender, made, at=began + timedelta(seconds=10))
    assert later.outcome is PushOutcome.SENT


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("Thu, 26 Nov 2026 12:00:30 GMT", 30),
        ("", None),
        ("soon", None),
        ("9" * 30, None),
        ("-1", None),
    ],
)
def test_fcm_asks_for_seconds_or_names_a_time(header: str, seconds: int | None) -> None:
    error = QuotaExceededError("Quota", http_response=Answer(429, b"", {"retry-after": header}))
    asked = retry_after(error, datetime(2026, 11, 26, 12, 0, tzinfo=UTC))
    assert asked == (None if seconds is None else timedelta(seconds=seconds))


def test_of_an_error_without_an_answer_nothing_is_asked() -> None:
    assert retry_after(QuotaExceededError("Quota"), now()) is None


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
    is_asked: Event = field(default_factory=Event)
    may_answer: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        self.may_answer.set()

    def access_token(self) -> tuple[int, dict[str, object]]:
        self.asked += 1
        self.is_asked.set()
        self.may_answer.wait()
        if not self.is_known:
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": f"granted {self.asked}", "expires_in": 3600}


@contextmanager
def token_server(account: Account) -> Iterator[str]:
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
        monkeypatch.setattr(fcm, "_FCM_URL", fcm_server.url)
        yield account


async def test_without_an_fcm_of_its_own_a_function_sends_with_its_accounts_access_token(
    account: Account, inbox: FcmServer
) -> None:
    sender = fcm.connect(settings_of(PushSettings))
    for _ in range(2):
        assert (await send(sender, event())).outcome is PushOutcome.SENT
    assert len(inbox.messages) == 2
    assert account.asked == 1


async def test_messages_that_wait_for_an_access_token_wait_for_the_same(
    account: Account, inbox: FcmServer
) -> None:
    sender = fcm.connect(settings_of(PushSettings))
    sent = await asyncio.gather(*(send(sender, event()) for _ in range(5)))
    assert {each.outcome for each in sent} == {PushOutcome.SENT}
    assert account.asked == 1


async def test_an_access_token_that_fcm_refuses_is_replaced_by_another(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\n{}"
    taken = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(taken if b"bearer granted 3" in server.heads[-1].lower() else refused)

    async with raw_server(answer) as server:
        monkeypatch.setattr(fcm, "_FCM_URL", server.url)
        sender = fcm.connect(settings_of(PushSettings))
        assert (await send(sender, event())).outcome is PushOutcome.SENT
        assert (account.asked, len(server.heads)) == (3, 3)
        assert (await send(sender, event())).outcome is PushOutcome.SENT
        assert (account.asked, len(server.heads)) == (3, 4)


async def test_while_an_access_token_is_fetched_others_go_on(account: Account) -> None:
    account.may_answer.clear()
    sending = asyncio.create_task(send(fcm.connect(settings_of(PushSettings)), event()))
    await asyncio.to_thread(account.is_asked.wait)
    account.may_answer.set()
    assert (await sending).outcome is PushOutcome.SENT


async def test_without_an_access_token_nothing_is_sent(account: Account, inbox: FcmServer) -> None:
    account.is_known = False
    sent = await send(fcm.connect(settings_of(PushSettings)), event())
    assert sent.outcome is PushOutcome.FAILED
    assert account.asked > 0
    assert inbox.messages == []


async def test_messages_are_of_the_apps_own_firebase_project() -> None:
    refused = saying(b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}")
    async with raw_server(refused) as server:
        settings = settings_of(PushSettings, FCM_URL=server.url, FIREBASE_PROJECT="the-app")
        await send(fcm.connect(settings), event())
        assert server.targets == ["/v1/projects/the-app/messages:send"]
