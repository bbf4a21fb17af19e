"""`sweep` on a real Firestore and a real Pub/Sub: what is republished, dropped, left alone."""

from datetime import timedelta

import grpc
import pytest
from google.cloud.firestore import AsyncClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport

from functions.calls.call import CallId
from functions.calls.event import CallEvent, to_fields
from functions.delivery.sweep import Sweeper, Swept
from functions.ports.publisher import PublishFailed
from functions.ports.store import Store, StoreUnavailable
from functions.services.pubsub import PubSubPublisher
from tests.support.makers import CALL, committed, event, ids_in, now, pend, pending_calls
from tests.support.services import Services

AFTER = timedelta(seconds=6)
EVERY = timedelta(minutes=1)


async def left(store: Store, client: AsyncClient, call: str, ago: timedelta) -> CallEvent:
    """Leaves an outbox entry that has been pending since `ago`."""
    made = event(call=CallId(call), decided=now() - ago)
    await committed(store, client, made)
    await pend(client, made, now() - ago)
    return made


def sweeper_of(services: Services, every: timedelta = EVERY, **more: timedelta) -> Sweeper:
    outbox, publisher = services.store.outbox, services.publisher
    return Sweeper(outbox, publisher, now, after=AFTER, every=every, **more)


async def test_what_is_old_enough_is_republished_expired_or_not(services: Services) -> None:
    await left(services.store, services.client, "CALL_YOUNG", timedelta(seconds=3))
    await left(services.store, services.client, "CALL_OLD", timedelta(seconds=8))
    await left(services.store, services.client, "CALL_EXPIRED", timedelta(seconds=70))
    done = await left(services.store, services.client, "CALL_DONE", timedelta(seconds=8))
    await services.store.outbox.note_served(done, (), now(), is_done=True)
    swept = Swept()
    sweeper = sweeper_of(services)
    await sweeper.look(swept)
    assert swept.republished == 2
    assert timedelta(seconds=70) <= swept.oldest < timedelta(seconds=130)
    made = await services.published(CallEvent)
    assert {each.call_id for each in made} == {"CALL_OLD", "CALL_EXPIRED"}
    assert {each.served for each in made} == {None}
    # Who takes what has expired drops it, counts it, and is done with it.
    assert await pending_calls(services.client) == {"CALL_YOUNG", "CALL_OLD", "CALL_EXPIRED"}


async def test_one_look_goes_through_all_that_waits(services: Services) -> None:
    # More than a page, with what nobody can read among them and before them.
    entries = services.client.collection("outbox")
    made = event(decided=now() - timedelta(seconds=10))
    readable = 700
    batch = services.client.batch()
    for number in range(readable):
        signal = f"{number:032x}"
        fields = to_fields(made) | {"signalId": signal}
        since = now() - timedelta(seconds=20, milliseconds=number)
        batch.set(entries.document(f"{CALL}:{signal}"), {"event": fields, "pendingSince": since})
        if number % 2:
            since = now() - timedelta(seconds=30, milliseconds=number)
            batch.set(entries.document(f"rubbish {number}"), {"pendingSince": since, "event": 7})
        if number % 200 == 199 or number == readable - 1:
            await batch.commit()
            batch = services.client.batch()
    swept = Swept()
    sweeper = sweeper_of(services)
    await sweeper.look(swept)
    assert (swept.republished, swept.unreadable) == (readable, readable // 2)
    assert len(await ids_in(services.client, "outbox")) == readable
    swept = Swept()
    await sweeper.look(swept)
    assert swept.unreadable == 0


async def test_an_entry_that_can_not_be_removed_keeps_back_no_other(services: Services) -> None:
    await left(services.store, services.client, "CALL_OLD", timedelta(seconds=8))
    rubbish = services.client.collection("outbox").document("rubbish")
    await rubbish.set({"pendingSince": now() - timedelta(seconds=20)})
    services.faults.fail("firestore.Commit", code=grpc.StatusCode.RESOURCE_EXHAUSTED)
    swept = Swept()
    sweeper = sweeper_of(services)
    with pytest.raises(StoreUnavailable):
        await sweeper.look(swept)
    assert swept.republished == 1


async def test_one_call_looks_again_and_again_until_the_next_is_due(
    services: Services,
) -> None:
    await left(services.store, services.client, "CALL_YOUNG", timedelta(seconds=5.5))
    every, until = timedelta(seconds=0.2), timedelta(seconds=1)
    sweeper = sweeper_of(services, every=every, until=until)
    assert (await sweeper.sweep()).republished >= 1


async def test_a_pass_that_fails_is_counted_and_the_entry_stays(
    store: Store, client: AsyncClient
) -> None:
    await left(store, client, "CALL_OLD", timedelta(seconds=15))
    async with grpc.aio.insecure_channel("127.0.0.1:9") as channel:
        transport = PublisherGrpcAsyncIOTransport(channel=channel)
        nowhere = PubSubPublisher(lambda: transport, "projects/unring-test/topics/events")
        sweeper = Sweeper(store.outbox, nowhere, now, after=AFTER, every=EVERY)
        with pytest.raises(PublishFailed):
            await sweeper.look(Swept())
        assert (await sweeper.sweep()).failed == 1
    assert await pending_calls(client) == {"CALL_OLD"}


async def test_an_entry_that_can_not_be_published_keeps_back_no_other(services: Services) -> None:
    for seconds, call in ((30, "CALL_BAD"), (20, "CALL_GOOD")):
        await left(services.store, services.client, call, timedelta(seconds=seconds))
    services.faults.fail("pubsub.Publish", "CALL_BAD", code=grpc.StatusCode.RESOURCE_EXHAUSTED)
    swept = Swept()
    with pytest.raises(PublishFailed):
        await sweeper_of(services).look(swept)
    assert swept.republished == 1
    assert [made.call_id for made in await services.published(CallEvent)] == ["CALL_GOOD"]


async def test_a_pubsub_that_takes_nothing_is_not_asked_for_every_entry(services: Services) -> None:
    for number in range(60):
        await left(services.store, services.client, f"CALL_{number}", timedelta(seconds=20))
    refused = grpc.StatusCode.RESOURCE_EXHAUSTED
    fault = services.faults.fail("pubsub.Publish", code=refused, times=None)
    with pytest.raises(PublishFailed):
        await sweeper_of(services).look(Swept())
    assert fault.met == 50
