"""`push` on a real Firestore and an endpoint that plays FCM: what phones get, and what fails."""

import base64
import json
from datetime import timedelta

import grpc
import pytest
from google.cloud.firestore import AsyncClient

from functions.attempt import NotDelivered
from functions.calls.call import CallId, ConnectionId
from functions.delivery.push import Pusher
from functions.ports.store import Store, StoreUnavailable
from functions.published import ConnectionOpened, Published, encode
from functions.push import handler
from functions.services.fcm import FcmPushSender
from functions.settings import PushSettings
from infra.emulators.fcm import FcmServer
from infra.emulators.fcm.errors import FcmError
from tests.support.asgi import call
from tests.support.makers import (
    AGAIN,
    CALL,
    CALLER,
    FIRST,
    RECEIVER,
    committed,
    event,
    now,
    register,
    ring,
)
from tests.support.processes import settings_of
from tests.support.services import Services


def envelope(published: Published) -> bytes:
    """What Pub/Sub posts of it."""
    data = base64.b64encode(encode(published)).decode()
    return json.dumps({"message": {"messageId": "1", "data": data}}).encode()


@pytest.fixture
def pusher(store: Store, messenger: FcmPushSender) -> Pusher:
    return Pusher(store, messenger, now)


async def test_a_cancel_reaches_all_devices_as_data_alone(
    pusher: Pusher, store: Store, inbox: FcmServer
) -> None:
    await register(store, "phone", RECEIVER)
    await register(store, "tablet", RECEIVER)
    await register(store, "somebody else's", CALLER)
    made = event()
    await pusher.push(made, FIRST)
    assert {message["token"] for message in inbox.messages} == {"phone", "tablet"}
    message = inbox.messages[0]
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
    pusher: Pusher, store: Store, inbox: FcmServer
) -> None:
    await register(store, "phone", CALLER)
    await pusher.push(event("call:reject"), FIRST)
    (message,) = inbox.messages
    assert message["data"] == {
        "type": "call_rejected",
        "callId": CALL,
        "callerId": CALLER,
        "reason": "Caller ended call",
    }


async def test_an_accepted_call_is_not_pushed(
    pusher: Pusher, store: Store, inbox: FcmServer
) -> None:
    await register(store, "phone", CALLER)
    await pusher.push(event("call:accept"), FIRST)
    assert inbox.messages == []


async def test_an_opened_connection_is_no_business_of_phones(
    services: Services, messenger: FcmPushSender, inbox: FcmServer
) -> None:
    await register(services.store, "phone", RECEIVER)
    services.journal.clear()
    opened = ConnectionOpened(
        connection_id=ConnectionId("1="),
        connected_at=now(),
        expires_at=now() + timedelta(seconds=20),
    )
    function = handler(settings_of(PushSettings), services.store, messenger)
    assert (await call(function, envelope(opened))).status_code == 204
    assert services.journal.started == []
    assert inbox.messages == []


async def test_an_expired_event_is_not_pushed(
    pusher: Pusher, store: Store, inbox: FcmServer
) -> None:
    await register(store, "phone", RECEIVER)
    await pusher.push(event(decided=now() - timedelta(seconds=31)), FIRST)
    assert inbox.messages == []


async def test_a_user_without_devices_is_done_with(pusher: Pusher, inbox: FcmServer) -> None:
    await pusher.push(event(), FIRST)
    assert inbox.messages == []


@pytest.mark.parametrize("error", [FcmError.UNREGISTERED, FcmError.SENDER_ID_MISMATCH])
async def test_a_dead_token_is_forgotten(
    pusher: Pusher, store: Store, inbox: FcmServer, error: FcmError
) -> None:
    await register(store, "dead", RECEIVER)
    await register(store, "alive", RECEIVER)
    inbox.fail("dead", error)
    await pusher.push(event(), FIRST)
    assert [device.token for device in await store.devices.of([RECEIVER], now())] == ["alive"]
    assert [message["token"] for message in inbox.messages] == ["alive"]


async def test_a_message_that_fcm_refuses_is_not_tried_again(
    pusher: Pusher, store: Store, inbox: FcmServer
) -> None:
    await register(store, "odd", RECEIVER)
    inbox.fail("odd", FcmError.INVALID_ARGUMENT)
    await pusher.push(event(), FIRST)
    assert inbox.attempts("odd") == 1
    assert len(await store.devices.of([RECEIVER], now())) == 1


@pytest.mark.parametrize("error", [FcmError.QUOTA_EXCEEDED, FcmError.THIRD_PARTY_AUTH_ERROR])
async def test_what_failed_is_retried_and_what_was_sent_is_not(
    pusher: Pusher, store: Store, inbox: FcmServer, error: FcmError
) -> None:
    await register(store, "good", RECEIVER)
    await register(store, "bad", RECEIVER)
    inbox.fail("bad", error, times=3)  # the SDK repeats a 401 twice
    made = event()
    with pytest.raises(NotDelivered):
        await pusher.push(made, FIRST)
    inbox.heal()
    await pusher.push(made, FIRST)
    assert sorted(message["token"] for message in inbox.messages) == ["bad", "good"]


async def test_a_passing_failure_of_fcm_is_overcome_at_once(
    pusher: Pusher, store: Store, inbox: FcmServer
) -> None:
    await register(store, "phone", RECEIVER)
    inbox.fail("phone", FcmError.UNAVAILABLE, times=1)
    await pusher.push(event(), FIRST)
    assert len(inbox.messages) == 1


async def test_a_republished_copy_is_pushed_although_deliver_is_done_with_it(
    pusher: Pusher, store: Store, inbox: FcmServer
) -> None:
    # It may be the only copy there ever was, and `deliver` may have been faster.
    await register(store, "phone", RECEIVER)
    await pusher.push(event(served=None), FIRST)
    assert len(inbox.messages) == 1


async def test_of_several_copies_the_first_is_pushed(
    messenger: FcmPushSender, store: Store, client: AsyncClient, inbox: FcmServer
) -> None:
    await register(store, "phone", RECEIVER)
    copy = (await committed(store, client, event())).served_to(None)
    for _ in range(3):
        await Pusher(store, messenger, now).push(copy, FIRST)
        await register(store, "phone", RECEIVER)  # as the app does once the push has woken it
    assert len(inbox.messages) == 1


async def test_of_two_events_in_retry_each_reaches_the_other_devices_once(
    services: Services, messenger: FcmPushSender, inbox: FcmServer
) -> None:
    for token in ("good", "better", "bad"):
        await register(services.store, token, RECEIVER)
    inbox.fail("bad", FcmError.QUOTA_EXCEEDED)
    calls = [CallId("CALL_1"), CallId("CALL_2")]
    events = [await committed(services.store, services.client, event(call=id)) for id in calls]
    services.journal.clear()
    for _ in range(4):
        for made in events:
            with pytest.raises(NotDelivered):  # another instance each time
                await Pusher(services.store, messenger, now).push(made, AGAIN)
    assert sorted(message["token"] for message in inbox.messages) == ["better"] * 2 + ["good"] * 2
    assert services.journal.started.count("Commit") == 2  # once there was something to note


async def test_what_fcm_refuses_for_good_is_not_sent_again_with_what_is_retried(
    messenger: FcmPushSender, store: Store, client: AsyncClient, inbox: FcmServer
) -> None:
    await register(store, "strange", RECEIVER)
    await register(store, "bad", RECEIVER)
    inbox.fail("strange", FcmError.INVALID_ARGUMENT)
    inbox.fail("bad", FcmError.QUOTA_EXCEEDED)
    made = await committed(store, client, event())
    for _ in range(3):
        with pytest.raises(NotDelivered):
            await Pusher(store, messenger, now).push(made, AGAIN)
    assert inbox.attempts("strange") == 1


async def test_a_message_lives_as_long_as_its_event_has_left(
    pusher: Pusher, store: Store, inbox: FcmServer
) -> None:
    await register(store, "phone", RECEIVER)
    made = event(decided=now() - timedelta(seconds=20))
    await pusher.push(made, FIRST)
    (message,) = inbox.messages
    assert 5 < float(message["android"]["ttl"].rstrip("s")) <= 10
    assert 5 <= int(message["webpush"]["headers"]["TTL"]) <= 10
    assert message["apns"]["headers"]["apns-expiration"] == str(int(made.expires.timestamp()))


@pytest.mark.parametrize("status", ["ringing", "accepted"])
async def test_what_comes_late_is_not_pushed_once_the_call_has_gone_on(
    pusher: Pusher, store: Store, client: AsyncClient, inbox: FcmServer, status: str
) -> None:
    await register(store, "phone", RECEIVER)
    made = await committed(store, client, event())
    await ring(client, status=status)
    await pusher.push(made, AGAIN)
    assert inbox.messages == []


async def test_who_was_pushed_is_not_pushed_again_while_firestore_can_not_be_written(
    services: Services, messenger: FcmPushSender, inbox: FcmServer
) -> None:
    for token in ("good", "bad"):
        await register(services.store, token, RECEIVER)
    inbox.fail("bad", FcmError.QUOTA_EXCEEDED)
    made = await committed(services.store, services.client, event())
    services.faults.fail("firestore.Commit", code=grpc.StatusCode.RESOURCE_EXHAUSTED, times=None)
    pusher = Pusher(services.store, messenger, now)
    with pytest.raises(StoreUnavailable):
        await pusher.push(made, FIRST)
    with pytest.raises(NotDelivered):
        await pusher.push(made, AGAIN)
    assert [message["token"] for message in inbox.messages] == ["good"]


async def test_a_copy_that_everybody_has_does_not_come_again_only_to_be_remembered(
    services: Services, messenger: FcmPushSender, inbox: FcmServer
) -> None:
    await register(services.store, "phone", RECEIVER)
    services.faults.fail("firestore.Commit", code=grpc.StatusCode.RESOURCE_EXHAUSTED)
    await Pusher(services.store, messenger, now).push(event(served=None), FIRST)
    assert len(inbox.messages) == 1


async def test_a_long_call_id_still_fits_apples_collapse_id(
    pusher: Pusher, store: Store, inbox: FcmServer
) -> None:
    await register(store, "phone", RECEIVER)
    await pusher.push(event(call=CallId("x" * 128)), FIRST)
    (message,) = inbox.messages
    assert len(message["apns"]["headers"]["apns-collapse-id"]) == 64


async def test_warming_up_sends_nothing(messenger: FcmPushSender, inbox: FcmServer) -> None:
    await messenger.warm_up()
    assert inbox.messages == []
