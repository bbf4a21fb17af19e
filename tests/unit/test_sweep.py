"""`sweep` on a real Firestore and a real Pub/Sub: what is republished, dropped, left alone."""

from datetime import timedelta

import grpc
import pytest
from google.cloud.firestore import AsyncClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport

from functions.calls.call import CallId, ConnectionId
from functions.calls.event import CallEvent
from functions.services.firestore import Store
from functions.services.pubsub import Publisher, PublishFailed
from functions.sweep import Sweeper, Swept
from tests.support.makers import event, ids_in, now, ring, signal
from tests.support.services import Services

AFTER = timedelta(seconds=10)


async def left(store: Store, client: AsyncClient, call: str, ago: timedelta) -> CallEvent:
    """Leaves an outbox entry whose event was decided `ago`."""
    id = CallId(call)
    await ring(client, id)
    stored = (await store.load(ConnectionId("c="), id, now())).call
    assert stored
    made = event(call=id, decided=now() - ago)
    await store.commit(stored, signal(call=id), made)
    return made


async def test_only_what_is_old_enough_is_republished_and_what_expired_is_dropped(
    services: Services,
) -> None:
    await left(services.store, services.client, "CALL_YOUNG", timedelta(seconds=5))
    await left(services.store, services.client, "CALL_OLD", timedelta(seconds=15))
    await left(services.store, services.client, "CALL_EXPIRED", timedelta(seconds=70))
    swept = Swept()
    every = timedelta(minutes=1)
    sweeper = Sweeper(services.store, services.publisher, after=AFTER, every=every)
    await sweeper.look(swept)
    assert (swept.republished, swept.expired) == (1, 1)
    assert timedelta(seconds=70) <= swept.oldest < timedelta(seconds=130)
    assert await ids_in(services.client, "outbox") == {"CALL_YOUNG", "CALL_OLD"}


async def test_one_call_looks_again_and_again_until_the_next_is_due(
    services: Services,
) -> None:
    await left(services.store, services.client, "CALL_YOUNG", timedelta(seconds=9.5))
    every, until = timedelta(seconds=0.2), timedelta(seconds=1)
    sweeper = Sweeper(services.store, services.publisher, after=AFTER, every=every, until=until)
    assert (await sweeper.sweep()).republished >= 1


async def test_a_pass_that_fails_is_counted_and_the_entry_stays(
    store: Store, client: AsyncClient
) -> None:
    await left(store, client, "CALL_OLD", timedelta(seconds=15))
    async with grpc.aio.insecure_channel("127.0.0.1:9") as channel:
        transport = PublisherGrpcAsyncIOTransport(channel=channel)
        nowhere = Publisher(transport, "projects/unring-test/topics/events")
        sweeper = Sweeper(store, nowhere, after=AFTER, every=timedelta(minutes=1))
        with pytest.raises(PublishFailed):
            await sweeper.look(Swept())
        assert (await sweeper.sweep()).failed == 1
    assert await ids_in(client, "outbox") == {"CALL_OLD"}


async def test_an_entry_that_can_not_be_published_keeps_back_no_other(services: Services) -> None:
    for seconds, call in ((30, "CALL_BAD"), (20, "CALL_GOOD")):
        await left(services.store, services.client, call, timedelta(seconds=seconds))
    services.faults.fail("pubsub.Publish", "CALL_BAD", code=grpc.StatusCode.RESOURCE_EXHAUSTED)
    every = timedelta(minutes=1)
    swept = Swept()
    with pytest.raises(PublishFailed):
        await Sweeper(services.store, services.publisher, after=AFTER, every=every).look(swept)
    assert swept.republished == 1
    assert [made.call_id for made in await services.published(CallEvent)] == ["CALL_GOOD"]


async def test_a_pubsub_that_takes_nothing_is_not_asked_for_every_entry(services: Services) -> None:
    for number in range(5):
        await left(services.store, services.client, f"CALL_{number}", timedelta(seconds=20))
    refused = grpc.StatusCode.RESOURCE_EXHAUSTED
    fault = services.faults.fail("pubsub.Publish", code=refused, times=None)
    every = timedelta(minutes=1)
    with pytest.raises(PublishFailed):
        await Sweeper(services.store, services.publisher, after=AFTER, every=every).look(Swept())
    assert fault.met == 3
