"""`push`: which phones get a message, and what is tried again."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from functions.attempt import NotDelivered
from functions.calls.call import CallId, ConnectionId, SignalId
from functions.calls.event import CallEvent, Recipient, unix_ms
from functions.calls.ring import Ring
from functions.calls.transitions import Push
from functions.clients.device import Device, FcmToken, Platform, device_id
from functions.clients.ringtoken import RingToken
from functions.delivery.push import Pusher
from functions.ports.push_sender import PushOutcome, PushResult
from functions.ports.store import StoreUnavailable
from functions.published import ConnectionAccepted, DeviceGone
from functions.push import handler
from functions.settings import PushSettings
from infra.emulators.faults import Fault, Kind
from tests.memory.clients import Phones
from tests.memory.others import MemoryPushSender
from tests.memory.services import Services
from tests.support.asgi import call, envelope, get
from tests.support.makers import (
    AGAIN,
    CALL,
    CALLER,
    FIRST,
    RECEIVER,
    RING_TOKENS,
    event,
    now,
    register,
    ring_of_ours,
)
from tests.support.processes import settings_of
from tests.support.world import committed

CAP = 3  # devices of one user


def pusher_of(services: Services) -> Pusher:
    """An instance that remembers nothing."""
    return Pusher(
        services.store, services.sender, services.publisher, RING_TOKENS, now, devices_per_user=CAP
    )


@pytest.fixture
def pusher(services: Services) -> Pusher:
    return pusher_of(services)


async def test_a_cancel_reaches_all_devices_of_its_receiver(
    services: Services, pusher: Pusher, phones: Phones
) -> None:
    for token in ("phone", "tablet"):
        await register(services.store, token, RECEIVER)
    await register(services.store, "somebody else's", CALLER)
    made = event()
    await pusher.push(made, FIRST)
    assert sorted(phones.tokens) == ["phone", "tablet"]
    for message in phones.messages:
        assert message.event == made
        assert message.recipient.user_id == RECEIVER
        assert message.recipient.push == Push("call_cancelled")


async def test_a_rejection_reaches_the_caller(
    services: Services, pusher: Pusher, phones: Phones
) -> None:
    await register(services.store, "phone", CALLER)
    await pusher.push(event("call:reject"), FIRST)
    (message,) = phones.messages
    assert (message.recipient.user_id, message.recipient.push) == (
        CALLER,
        Push("call_rejected", with_reason=True),
    )


async def test_a_ring_is_pushed_to_whatever_rings_by_it(
    services: Services, pusher: Pusher, phones: Phones
) -> None:
    expires = now() + timedelta(days=1)
    for platform in Platform:
        address = FcmToken(platform.value)
        await services.store.devices.register(RECEIVER, address, platform, now(), expires)
    ring = Ring(CALL, CALLER, RECEIVER, 30, None, is_told=True)
    begun = ring.begun(SignalId("S"), now(), None)
    await pusher.push(CallEvent.of_ring(begun, SignalId("S"), now()).served_to([]), FIRST)
    # On Apple's phones nothing but a VoIP push rings, which is the backend's to send.
    assert sorted(phones.tokens) == ["android", "web"]
    await pusher.push(event(), FIRST)
    assert sorted(phones.tokens) == ["android", "android", "ios", "web", "web"]


async def test_a_ring_has_a_token_for_the_very_device_and_an_end_has_none(
    services: Services, pusher: Pusher, phones: Phones
) -> None:
    expires = now() + timedelta(days=1)
    for name in ("phone 1", None):
        address = FcmToken(str(name))
        platform = Platform.ANDROID
        await services.store.devices.register(RECEIVER, address, platform, now(), expires, name)
    begun = Ring(CALL, CALLER, RECEIVER, 30, None, is_told=True).begun(SignalId("S"), now(), None)
    await pusher.push(CallEvent.of_ring(begun, SignalId("S"), now()).served_to([]), FIRST)
    tokens = {each.token: RING_TOKENS.verify(each.ring_token or "") for each in phones.messages}
    assert tokens == {
        "phone 1": RingToken(CALL, RECEIVER, "phone 1", device_id(FcmToken("phone 1"))),
        "None": RingToken(CALL, RECEIVER, None, device_id(FcmToken("None"))),
    }
    phones.messages.clear()
    await pusher.push(event(), FIRST)
    assert [each.ring_token for each in phones.messages] == [None, None]


async def test_a_ring_that_ends_while_its_devices_are_read_is_not_pushed(
    services: Services, pusher: Pusher, phones: Phones
) -> None:
    await register(services.store, "phone", RECEIVER)
    begun = await ring_of_ours(services.store, now() + timedelta(days=30))
    assert begun.signal_id
    made = CallEvent.of_ring(begun, begun.signal_id, now()).served_to([])
    read = services.faults.hold("firestore.RunQuery", RECEIVER)
    pushing = asyncio.create_task(pusher.push(made, FIRST))
    await read.reached.wait()
    await services.world.ring(status="cancelled", signal_id=SignalId("later"))
    read.release()
    await pushing
    assert phones.tokens == []
    assert services.journal.started[-2:] == ["RunQuery", "BatchGetDocuments"]


async def test_an_accepted_call_is_not_pushed(
    services: Services, pusher: Pusher, phones: Phones
) -> None:
    await register(services.store, "phone", CALLER)
    await pusher.push(event("call:accept"), FIRST)
    assert phones.messages == []


async def test_an_opened_connection_is_no_business_of_phones(
    services: Services, phones: Phones
) -> None:
    await register(services.store, "phone", RECEIVER)
    services.journal.clear()
    opened = ConnectionAccepted(
        connection_id=ConnectionId("1="),
        connected_at=now(),
        expires_at=now() + timedelta(seconds=20),
    )
    function = handler(
        settings_of(PushSettings), services.store, services.sender, services.publisher, now
    )
    assert (await call(function, envelope(opened))).status_code == 204
    assert services.journal.started == []
    assert phones.messages == []


async def test_an_expired_event_is_not_pushed(
    services: Services, pusher: Pusher, phones: Phones
) -> None:
    await register(services.store, "phone", RECEIVER)
    await pusher.push(event(decided=now() - timedelta(seconds=31)), FIRST)
    assert phones.messages == []


async def test_of_more_devices_than_a_user_may_have_the_newest_are_pushed(
    services: Services, phones: Phones
) -> None:
    for number in range(CAP + 2):
        await register(services.store, f"phone {number}", RECEIVER)
    await register(services.store, "phone 0", RECEIVER)  # again, so that it is the newest
    await pusher_of(services).push(event(), FIRST)
    assert sorted(phones.tokens) == ["phone 0", "phone 3", "phone 4"]


async def test_a_user_without_devices_is_done_with(pusher: Pusher, phones: Phones) -> None:
    await pusher.push(event(), FIRST)
    assert phones.messages == []


async def test_a_dead_token_is_forgotten(
    services: Services, pusher: Pusher, phones: Phones
) -> None:
    await register(services.store, "dead", RECEIVER)
    await register(services.store, "alive", RECEIVER)
    phones.fail("dead", PushOutcome.DEAD)
    await pusher.push(event(), FIRST)
    assert [device.address for device in await services.store.devices.of([RECEIVER], now())] == [
        "alive"
    ]
    assert phones.tokens == ["alive"]


async def test_the_backend_hears_of_a_dead_token_before_it_is_forgotten(
    services: Services, pusher: Pusher, phones: Phones
) -> None:
    await register(services.store, "dead", RECEIVER)
    (device,) = await services.store.devices.of([RECEIVER], now())
    services.journal.clear()
    phones.fail("dead", PushOutcome.DEAD)
    await pusher.push(event(), FIRST)
    assert services.journal.started == ["RunQuery", "send", "Publish", "Commit"]
    (gone,) = services.published(DeviceGone)
    assert (gone.user_id, gone.token, gone.fid) == (RECEIVER, "dead", None)
    assert (gone.platform, gone.registered_at) == ("android", unix_ms(device.version))


async def test_a_dead_token_of_which_nobody_could_be_told_stays(
    services: Services, pusher: Pusher, phones: Phones
) -> None:
    await register(services.store, "dead", RECEIVER)
    phones.fail("dead", PushOutcome.DEAD)
    with services.faults.during(Fault(Kind.FAIL, "pubsub.Publish")):
        await pusher.push(event(), FIRST)
    assert len(await services.store.devices.of([RECEIVER], now())) == 1
    await pusher.push(event(), FIRST)
    assert await services.store.devices.of([RECEIVER], now()) == []
    assert len(services.published(DeviceGone)) == 1


async def test_a_message_that_fcm_refuses_is_not_tried_again(
    services: Services, pusher: Pusher, phones: Phones
) -> None:
    await register(services.store, "odd", RECEIVER)
    phones.fail("odd", PushOutcome.REFUSED)
    await pusher.push(event(), FIRST)
    assert phones.attempts("odd") == 1
    assert len(await services.store.devices.of([RECEIVER], now())) == 1


async def test_what_failed_is_retried_and_what_was_sent_is_not(
    services: Services, pusher: Pusher, phones: Phones
) -> None:
    await register(services.store, "good", RECEIVER)
    await register(services.store, "bad", RECEIVER)
    phones.fail("bad", PushOutcome.FAILED)
    made = event()
    with pytest.raises(NotDelivered):
        await pusher.push(made, FIRST)
    phones.heal()
    await pusher.push(made, FIRST)
    assert sorted(phones.tokens) == ["bad", "good"]


async def test_what_nobody_foresaw_of_one_device_keeps_the_event_from_no_other(
    services: Services, phones: Phones, monkeypatch: pytest.MonkeyPatch
) -> None:
    for token in ("odd", "phone"):
        await register(services.store, token, RECEIVER)
    send = MemoryPushSender.send

    async def broken(
        sender: MemoryPushSender, event: CallEvent, to: Recipient, device: Device, *more: Any
    ) -> PushResult:
        if device.address == "odd":
            raise RuntimeError("nobody foresaw it")
        return await send(sender, event, to, device, *more)

    made = await committed(services.world, event())
    with monkeypatch.context() as patch:
        patch.setattr(MemoryPushSender, "send", broken)
        with pytest.raises(NotDelivered):
            await pusher_of(services).push(made, FIRST)
    await pusher_of(services).push(made, AGAIN)
    assert phones.tokens == ["phone", "odd"]


async def test_a_republished_copy_is_pushed_although_deliver_is_done_with_it(
    services: Services, pusher: Pusher, phones: Phones
) -> None:
    # It may be the only copy there ever was, and `deliver` may have been faster.
    await register(services.store, "phone", RECEIVER)
    await pusher.push(event(served=None), FIRST)
    assert len(phones.messages) == 1


async def test_of_several_copies_the_first_is_pushed(services: Services, phones: Phones) -> None:
    await register(services.store, "phone", RECEIVER)
    copy = (await committed(services.world, event())).served_to(None)
    for _ in range(3):
        await pusher_of(services).push(copy, FIRST)
        await register(
            services.store, "phone", RECEIVER
        )  # as the app does once the push has woken it
    assert len(phones.messages) == 1


async def test_of_two_events_in_retry_each_reaches_the_other_devices_once(
    services: Services, phones: Phones
) -> None:
    for token in ("good", "better", "bad"):
        await register(services.store, token, RECEIVER)
    phones.fail("bad", PushOutcome.FAILED)
    calls = [CallId("CALL_1"), CallId("CALL_2")]
    events = [await committed(services.world, event(call=id)) for id in calls]
    services.journal.clear()
    for _ in range(4):
        for made in events:
            with pytest.raises(NotDelivered):  # another instance each time
                await pusher_of(services).push(made, AGAIN)
    assert sorted(phones.tokens) == ["better"] * 2 + ["good"] * 2
    assert services.journal.started.count("Commit") == 2  # once there was something to note


async def test_what_fcm_refuses_for_good_is_not_sent_again_with_what_is_retried(
    services: Services, phones: Phones
) -> None:
    await register(services.store, "strange", RECEIVER)
    await register(services.store, "bad", RECEIVER)
    phones.fail("strange", PushOutcome.REFUSED)
    phones.fail("bad", PushOutcome.FAILED)
    made = await committed(services.world, event())
    for _ in range(3):
        with pytest.raises(NotDelivered):
            await pusher_of(services).push(made, AGAIN)
    assert phones.attempts("strange") == 1


@pytest.mark.parametrize("status", ["ringing", "accepted"])
async def test_what_comes_late_is_not_pushed_once_the_call_has_gone_on(
    services: Services, pusher: Pusher, phones: Phones, status: str
) -> None:
    await register(services.store, "phone", RECEIVER)
    made = await committed(services.world, event())
    await services.world.ring(status=status)
    await pusher.push(made, AGAIN)
    assert phones.messages == []


async def test_who_was_pushed_is_not_pushed_again_while_firestore_can_not_be_written(
    services: Services, phones: Phones
) -> None:
    for token in ("good", "bad"):
        await register(services.store, token, RECEIVER)
    phones.fail("bad", PushOutcome.FAILED)
    made = await committed(services.world, event())
    services.faults.fail("firestore.Commit", times=None)
    pusher = pusher_of(services)
    with pytest.raises(StoreUnavailable):
        await pusher.push(made, FIRST)
    with pytest.raises(NotDelivered):
        await pusher.push(made, AGAIN)
    assert phones.tokens == ["good"]


async def test_a_copy_that_everybody_has_does_not_come_again_only_to_be_remembered(
    services: Services, phones: Phones
) -> None:
    await register(services.store, "phone", RECEIVER)
    services.faults.fail("firestore.Commit")
    await pusher_of(services).push(event(served=None), FIRST)
    assert len(phones.messages) == 1


async def test_dead_tokens_that_can_not_be_forgotten_make_nobody_get_it_twice(
    services: Services, pusher: Pusher, phones: Phones
) -> None:
    for token in ("dead", "alive"):
        await register(services.store, token, RECEIVER)
    phones.fail("dead", PushOutcome.DEAD)
    services.faults.fail("firestore.Commit")
    await pusher.push(event(), FIRST)
    assert phones.tokens == ["alive"]
    assert len(await services.store.devices.of([RECEIVER], now())) == 2


async def test_an_event_that_expires_while_its_devices_are_looked_up_is_not_pushed(
    services: Services, pusher: Pusher, phones: Phones
) -> None:
    await register(services.store, "phone", RECEIVER)
    services.faults.arm(Fault(Kind.DELAY, "firestore.RunQuery", seconds=2))
    await pusher.push(event(decided=now() - timedelta(seconds=29)), FIRST)
    assert phones.messages == []


async def test_push_takes_an_event_and_is_warmed_up_by_a_get(
    services: Services, phones: Phones
) -> None:
    await register(services.store, "phone", RECEIVER)
    function = handler(
        settings_of(PushSettings), services.store, services.sender, services.publisher, now
    )
    assert (await call(function, envelope(event()))).status_code == 204
    assert phones.tokens == ["phone"]
    services.journal.clear()
    assert (await get(function)).status_code == 200
    assert services.journal.started == ["BatchGetDocuments"]
    assert phones.tokens == ["phone"]
