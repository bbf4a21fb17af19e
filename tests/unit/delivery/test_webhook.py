"""`webhook`: what the app's backend is told, what it is asked to push, and what is tried again."""

import asyncio
import json
import uuid
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from functions.calls.call import (
    NOBODYS,
    Actor,
    Call,
    CallId,
    ConnectionId,
    SignalId,
    Status,
    UserId,
)
from functions.calls.event import CallEvent, unix_ms
from functions.calls.transitions import CALLER_GONE, PushedBy, PushPolicy
from functions.clients.device import FcmToken, device_id
from functions.clients.ringtoken import RingToken
from functions.delivery.commit import Received
from functions.inbound.http import Handler
from functions.published import ConnectionAdmitted, DeviceGone, Published, attributes
from functions.settings import WebhookSettings, webhook_name
from functions.webhook import handler
from infra.emulators.faults import Fault, Kind
from tests.memory.clients import Backend
from tests.memory.services import Services
from tests.support.asgi import call, envelope, get
from tests.support.makers import CALL, CALLER, RECEIVER, RING_TOKENS, event, now
from tests.support.processes import WEBHOOK, settings_of
from tests.support.world import committed

SECOND = "https://audit.example/"
BY_BACKEND = PushPolicy(PushedBy.BACKEND, PushedBy.BACKEND, PushedBy.BACKEND)
OUTBOX_READ = "BatchGetDocuments"


def function_of(services: Services) -> Handler:
    """An instance that remembers nothing."""
    settings = settings_of(WebhookSettings, WEBHOOK_URLS=f"{WEBHOOK},{SECOND}")
    return handler(settings, services.store, services.webhooks, now)


@pytest.fixture
def function(services: Services) -> Handler:
    return function_of(services)


@pytest.fixture
def backend(services: Services) -> Backend:
    return services.backend


async def told(function: Handler, published: Published, url: str = WEBHOOK) -> int:
    """The status that Pub/Sub is answered for a delivery of the URL's subscription."""
    body = envelope(published)
    return (await call(function, body, path=f"/{webhook_name(url)}")).status_code


async def asked(function: Handler, published: Published, attempt: int | None = None) -> int:
    """The same of the subscription to what the backend is to push, which counts no attempts."""
    path = f"/{webhook_name(WEBHOOK)}/wanted"
    return (await call(function, envelope(published, attempt=attempt), path=path)).status_code


def ringing(pushes: PushPolicy = BY_BACKEND) -> CallEvent:
    ends = now() + timedelta(seconds=15)  # its event lives longer
    found = Call(CALL, CALLER, RECEIVER, Status.RINGING, rings_until=ends, data='{"room":7}')
    return CallEvent.of_ring(found, SignalId(uuid.uuid4().hex), now(), pushes).served_to(())


async def test_a_webhook_has_all_that_a_receiver_needs_to_sort(
    function: Handler, backend: Backend, services: Services
) -> None:
    made = event()
    assert await told(function, made) == 204
    (hook,) = backend.taken
    assert (hook.url, hook.id) == (WEBHOOK, f"CALL_1:{made.signal_id}")
    assert set(hook.content) == {"type", "timestamp", "data"}
    assert hook.type == "call.cancelled"
    assert unix_ms(datetime.fromisoformat(hook.content["timestamp"])) == made.timestamp
    assert hook.data == {
        "callId": CALL,
        "signalId": made.signal_id,
        "occurredAt": made.timestamp,
        "expiresAt": made.expires_at_ms,
        "callerId": CALLER,
        "receiverId": RECEIVER,
        "status": "cancelled",
        "previousStatus": "ringing",
        "by": CALLER,
        "cause": "caller_cancelled",
        "reason": "Caller ended call",
        "ringsUntil": None,
        "data": None,
    }
    assert services.journal.started == ["POST"]


async def test_a_ring_is_told_with_what_its_app_passes_on(
    function: Handler, backend: Backend
) -> None:
    made = ringing()
    await told(function, made)
    (hook,) = backend.taken
    assert hook.type == "call.ringing"
    assert (hook.data["previousStatus"], hook.data["data"]) == (None, {"room": 7})
    assert hook.data["ringsUntil"] == hook.data["expiresAt"] == made.rings_until_ms
    assert made.timestamp <= hook.data["sentAt"] <= unix_ms(now())
    assert RING_TOKENS.verify(hook.data["ringToken"]) == RingToken(CALL, RECEIVER)


async def test_each_attempt_to_tell_of_a_ring_says_when_it_is_made(
    function: Handler, backend: Backend
) -> None:
    backend.answers.append(503)
    made = ringing()
    await told(function, made)
    assert backend.taken == []
    await asyncio.sleep(3)
    await told(function, made)
    (hook,) = backend.taken
    assert hook.data["sentAt"] - made.timestamp >= 3000


async def test_without_a_secret_a_ring_has_no_token(services: Services, backend: Backend) -> None:
    settings = settings_of(WebhookSettings, WEBHOOK_URLS=WEBHOOK, RING_TOKEN_SECRET="")
    function = handler(settings, services.store, services.webhooks, now)
    await told(function, ringing())
    await asked(function, ringing())
    told_of, asked_for = backend.taken
    assert told_of.data["ringToken"] is asked_for.data["ringToken"] is None
    assert "ringToken" not in asked_for.data["data"]


@pytest.mark.parametrize("name", ["call:cancel", "call:reject", "call:accept"])
async def test_each_change_of_a_call_has_a_type(
    function: Handler, backend: Backend, name: str
) -> None:
    made = event(name)
    await told(function, made)
    assert [hook.type for hook in backend.taken] == [f"call.{made.status}"]


async def test_a_ring_that_nobody_answers_is_told_as_missed_by_nobody(
    function: Handler, backend: Backend, services: Services
) -> None:
    ends = now() - timedelta(seconds=1)
    await services.world.ring(signal_id=SignalId("5f0c"), rings_until=ends)
    received = Received(SignalId("5151"), now(), None)
    await services.signaling().time_out(CALL, SignalId("5f0c"), ends, received)
    (made,) = services.published(CallEvent)
    assert attributes(made)["webhook"] == "true"
    await told(function, made)
    (hook,) = backend.taken
    assert hook.type == "call.missed"
    named = {
        name: hook.data[name] for name in ("status", "previousStatus", "by", "cause", "reason")
    }
    assert named == {
        "status": "missed",
        "previousStatus": "ringing",
        "by": None,
        "cause": "timeout",
        "reason": "No answer",
    }


async def test_a_caller_who_is_gone_is_told_as_who_cancelled(
    function: Handler, backend: Backend
) -> None:
    made = replace(event(CALLER_GONE), reason="Caller disconnected")
    await told(function, made)
    (hook,) = backend.taken
    assert hook.type == "call.cancelled"
    assert (hook.data["cause"], hook.data["by"]) == ("caller_gone", CALLER)


async def test_a_subscription_posts_to_its_own_url_alone(
    function: Handler, backend: Backend
) -> None:
    await told(function, event(), SECOND)
    assert [hook.url for hook in backend.taken] == [SECOND]


async def test_the_same_delivery_twice_is_the_same_webhook(
    function: Handler, backend: Backend
) -> None:
    made = event()
    await told(function, made)
    await told(function, made.served_to(None))  # a copy from the outbox
    first, second = backend.taken
    assert (first.id, first.content) == (second.id, second.content)


async def test_an_event_that_has_expired_is_told_all_the_same(
    function: Handler, backend: Backend
) -> None:
    assert await told(function, event(decided=now() - timedelta(hours=14))) == 204
    assert len(backend.taken) == 1


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 429, 500, 503])
async def test_what_is_not_taken_comes_again(
    function: Handler, backend: Backend, status: int
) -> None:
    backend.answers.append(status)
    assert await told(function, event()) == 503
    assert backend.taken == []


async def test_what_is_not_answered_comes_again(
    function: Handler, backend: Backend, services: Services
) -> None:
    with services.faults.during(Fault(Kind.LOSE_REPLY, "webhook.POST")):
        assert await told(function, event()) == 503


async def test_who_says_that_he_wants_no_more_is_taken_at_his_word(
    function: Handler, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    backend.answers.append(410)
    assert await told(function, event()) == 204
    assert backend.taken == []
    assert [(each.levelname, each.message) for each in caplog.records] == [
        ("ERROR", "webhook unwanted")
    ]


async def test_ids_that_are_any_text_make_a_header_all_the_same(
    function: Handler, backend: Backend
) -> None:
    ids = [CallId("a:b"), CallId("a.b"), CallId("звонок\r\nx: y"), CallId("a%3Ab")]
    for id in ids:
        await told(function, event(call=id))
    made = [hook.id for hook in backend.taken]
    assert len({id.partition(":")[0] for id in made}) == len(ids)
    for hook, id in zip(backend.taken, ids, strict=True):
        assert hook.id.isascii()
        assert hook.id.isprintable()
        assert not set(" .") & set(hook.id)
        assert hook.data["callId"] == id


async def test_a_device_that_is_gone_is_told_by_an_id_of_its_own(
    function: Handler, backend: Backend
) -> None:
    gone = DeviceGone(
        user_id=RECEIVER, token="dead", platform="android", registered_at=5, found_at=1_000
    )
    assert await told(function, gone) == 204
    (hook,) = backend.taken
    assert hook.id == f"{device_id(FcmToken('dead'))}:5"
    assert hook.content["timestamp"] == "1970-01-01T00:00:01.000Z"
    assert hook.data == {
        "userId": RECEIVER,
        "token": "dead",
        "platform": "android",
        "registeredAt": 5,
        "occurredAt": 1_000,
    }
    newer = DeviceGone(
        user_id=RECEIVER, fid="gone", platform="ios", registered_at=6, found_at=1_000
    )
    await told(function, newer)
    assert backend.taken[1].data["fid"] == "gone"


async def test_the_backend_is_asked_to_push_the_finished_message(
    function: Handler, backend: Backend
) -> None:
    made = event("call:reject", pushes=BY_BACKEND)
    assert await asked(function, made, attempt=1) == 204
    (hook,) = backend.taken
    assert (hook.type, hook.id) == ("push.wanted", f"CALL_1:{made.signal_id}:{CALLER}")
    assert hook.data.pop("ttlSeconds") in (29, 30)
    assert hook.data == {
        "callId": CALL,
        "signalId": made.signal_id,
        "occurredAt": made.timestamp,
        "expiresAt": made.expires_at_ms,
        "userId": CALLER,
        "data": {
            "type": "call_rejected",
            "callId": CALL,
            "callerId": CALLER,
            "reason": "Caller ended call",
        },
        "passedOver": [],
    }


async def test_the_backend_is_to_pass_over_the_device_that_answered_by_the_apps_name_for_it(
    function: Handler, backend: Backend
) -> None:
    on_phone = Actor(ConnectionId("1="), device="phone", registration="9")
    made = event("call:reject", pushes=BY_BACKEND, by=on_phone)
    assert await asked(function, made) == 204
    passed_over = {hook.data["userId"]: hook.data["passedOver"] for hook in backend.taken}
    assert passed_over == {CALLER: [], RECEIVER: ["phone"]}


@pytest.mark.parametrize("by", [NOBODYS, Actor(ConnectionId("1="), registration="9")])
async def test_the_backend_is_not_asked_to_push_to_a_device_that_it_could_not_pass_over(
    function: Handler, backend: Backend, by: Actor
) -> None:
    assert await asked(function, event("call:reject", pushes=BY_BACKEND, by=by)) == 204
    assert [hook.data["userId"] for hook in backend.taken] == [CALLER]


async def test_of_a_ring_the_backend_gets_what_the_phone_needs(
    function: Handler, backend: Backend, services: Services
) -> None:
    made = ringing()
    await asked(function, made)
    (hook,) = backend.taken
    token = hook.data["ringToken"]
    assert hook.data["ttlSeconds"] in (14, 15)
    assert hook.data["data"] == {
        "type": "incoming_call",
        "callId": CALL,
        "callerId": CALLER,
        "timestamp": str(made.timestamp),
        "sentAt": str(hook.data["sentAt"]),
        "expiresAt": str(made.rings_until_ms),
        "ringToken": token,
        "room": "7",
    }
    assert RING_TOKENS.verify(token) == RingToken(CALL, RECEIVER)


async def test_the_message_to_be_pushed_is_in_the_apps_dialect(
    services: Services, backend: Backend
) -> None:
    words = '[push.fields]\ncallId = "call_id"\n[push.types]\nincoming_call = "ring"\n'
    settings = settings_of(WebhookSettings, WEBHOOK_URLS=WEBHOOK, DIALECT=words)
    function = handler(settings, services.store, services.webhooks, now)
    await asked(function, ringing())
    (hook,) = backend.taken
    assert (hook.data["data"]["type"], hook.data["data"]["call_id"]) == ("ring", CALL)


async def test_ids_are_told_as_the_app_has_them(services: Services, backend: Backend) -> None:
    words = '[ids]\nusers = "number"\ncall_prefix = "CALL_"\ncall_documents = "without prefix"\n'
    settings = settings_of(WebhookSettings, WEBHOOK_URLS=WEBHOOK, DIALECT=words)
    function = handler(settings, services.store, services.webhooks, now)
    made = event(call=CallId("1"), caller=UserId("7"), receiver=UserId("8"))
    await told(function, made)
    (hook,) = backend.taken
    named = {name: hook.data[name] for name in ("callId", "callerId", "receiverId", "by")}
    assert named == {"callId": "CALL_1", "callerId": 7, "receiverId": 8, "by": 7}


async def test_what_an_app_passes_on_is_told_as_it_came(
    function: Handler, backend: Backend
) -> None:
    odd = '{"uid":123456789012345678901234567890,"pi":3.10}'
    await told(function, replace(ringing(), data=odd))
    (hook,) = backend.taken
    assert hook.data["data"] == json.loads(odd)


async def test_what_we_push_ourselves_the_backend_is_not_asked_for(
    function: Handler, backend: Backend, services: Services
) -> None:
    assert await asked(function, event()) == 204
    assert backend.asked == 0
    assert services.journal.started == []


async def test_a_late_push_is_asked_for_by_nobody(
    function: Handler, backend: Backend, services: Services
) -> None:
    old = event(decided=now() - timedelta(seconds=31), pushes=BY_BACKEND)
    assert await asked(function, old) == 204
    assert backend.asked == 0
    assert services.journal.started == []


async def test_a_push_that_is_no_longer_true_is_asked_for_by_nobody(
    function: Handler, backend: Backend, services: Services
) -> None:
    made = await committed(services.world, event(pushes=BY_BACKEND))
    await services.world.ring()  # again
    assert await asked(function, made) == 204
    assert backend.asked == 0


async def test_only_an_attempt_that_is_counted_as_the_first_reads_nothing(
    function: Handler, backend: Backend, services: Services
) -> None:
    for attempt, reads in ((1, []), (2, [OUTBOX_READ]), (None, [OUTBOX_READ])):
        services.journal.clear()
        assert await asked(function, event(pushes=BY_BACKEND), attempt) == 204
        assert services.journal.started == [*reads, "POST"]
    assert len(backend.taken) == 3


async def test_a_backend_that_has_been_asked_is_not_asked_again(
    function: Handler, backend: Backend
) -> None:
    backend.answers.append(500)
    made = event(pushes=BY_BACKEND)
    assert await asked(function, made) == 503
    assert await asked(function, made) == 204
    assert await asked(function, made) == 204
    assert (backend.asked, len(backend.taken)) == (2, 1)


async def test_a_push_waits_until_the_call_can_be_read(
    function: Handler, backend: Backend, services: Services
) -> None:
    with services.faults.during(Fault(Kind.FAIL, f"firestore.{OUTBOX_READ}")):
        assert await asked(function, event(pushes=BY_BACKEND)) == 503
    assert backend.asked == 0


async def test_what_is_for_a_url_that_is_not_known_is_logged_and_comes_again(
    function: Handler, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    paths = ["/", f"/{webhook_name('https://gone.example')}", f"/{webhook_name(WEBHOOK)}/else"]
    for path in paths:
        assert (await call(function, envelope(event()), path=path)).status_code == 503
    assert [record.message for record in caplog.records] == ["unknown webhook"] * 3
    assert backend.asked == 0


async def test_what_googles_emulator_does_not_filter_is_told_to_nobody(
    function: Handler, backend: Backend
) -> None:
    admitted = ConnectionAdmitted(connection_id=ConnectionId("1="), expires_at=now())
    gone = DeviceGone(user_id=RECEIVER, token="t", platform="web", registered_at=0, found_at=0)
    assert await told(function, admitted) == 204
    assert await asked(function, gone) == 204
    assert backend.asked == 0


async def test_a_get_opens_the_way_to_firestore(function: Handler, services: Services) -> None:
    assert (await get(function)).status_code == 200
    assert services.journal.started == [OUTBOX_READ]
