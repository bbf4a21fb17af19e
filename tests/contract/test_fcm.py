"""The push message as FCM gets it, and what becomes of one that FCM does not take."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from functions.calls.call import CallId, UserId
from functions.calls.event import CallEvent
from functions.clients.device import Device, FcmToken, Platform, device_id
from functions.ports.push_sender import Outcome, PushResult
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
    assert (await send(sender, made)).outcome is Outcome.SENT
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
        (FcmError.UNREGISTERED, Outcome.DEAD),
        (FcmError.SENDER_ID_MISMATCH, Outcome.DEAD),
        (FcmError.INVALID_ARGUMENT, Outcome.REFUSED),
        (FcmError.QUOTA_EXCEEDED, Outcome.FAILED),
        (FcmError.THIRD_PARTY_AUTH_ERROR, Outcome.FAILED),
    ],
)
async def test_what_fcm_answers_says_what_became_of_the_message(
    sender: FcmPushSender, inbox: FcmServer, error: FcmError, outcome: Outcome
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
    assert (await send(sender, event())).outcome is Outcome.SENT
    assert len(inbox.messages) == 1


async def test_warming_up_sends_nothing(sender: FcmPushSender, inbox: FcmServer) -> None:
    await sender.warm_up()
    assert inbox.messages == []
