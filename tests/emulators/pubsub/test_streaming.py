"""StreamingPull: the subscriber of google-cloud-pubsub, and the stream below it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.pubsub_v1 import SubscriberClient
from google.cloud.pubsub_v1.types import FlowControl
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient, types

from infra.emulators.pubsub import PubSubServer
from tests.emulators.pubsub.support import PULL, TOPIC, clients_at, message
from tests.support.pace import PATIENCE_SECONDS


@pytest.fixture
async def server() -> AsyncIterator[PubSubServer]:
    # With seconds of full length: what is leased stays leased while a test runs.
    async with PubSubServer() as server:
        yield server


@pytest.fixture
async def pulling(publisher: PublisherAsyncClient, subscriber: SubscriberAsyncClient) -> str:
    await subscriber.create_subscription(name=PULL, topic=TOPIC)
    return PULL


class App:
    """Google's subscriber; what its callback is called with waits here."""

    def __init__(self, client: Any, subscription: str, at_once: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._received: asyncio.Queue[Any] = asyncio.Queue()
        flow = FlowControl(max_messages=at_once)
        self._future = client.subscribe(subscription, self._called, flow_control=flow)

    async def next(self) -> Any:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._received.get()

    def nothing_more(self) -> bool:
        return self._received.empty()

    async def ended(self) -> None:
        """Waits for the end of the stream; raises what has ended it."""
        await asyncio.to_thread(self._future.result, PATIENCE_SECONDS)

    async def close(self) -> None:
        """Ends the stream when everything is acknowledged that was to be."""
        self._future.cancel()
        await self.ended()

    def _called(self, received: Any) -> None:
        self._loop.call_soon_threadsafe(self._received.put_nowait, received)


@contextmanager
def subscribed(address: str, subscription: str = PULL, at_once: int = 100) -> Iterator[App]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PUBSUB_EMULATOR_HOST", address)
        client = SubscriberClient()
    with client:
        yield App(client, subscription, at_once)


async def test_a_callback_gets_what_is_published_and_acknowledges_it(pubsub: str) -> None:
    topic = "projects/unring-test/topics/streamed"
    subscription = "projects/unring-test/subscriptions/streamed"
    async with clients_at(pubsub) as (publisher, subscriber):
        await publisher.create_topic(name=topic)
        await subscriber.create_subscription(name=subscription, topic=topic)
        await publisher.publish(topic=topic, messages=[message(b"waits", n="1")])
        with subscribed(pubsub, subscription) as app:
            first = await app.next()
            assert (first.data, dict(first.attributes)) == (b"waits", {"n": "1"})
            await publisher.publish(topic=topic, messages=[message(b"a"), message(b"b")])
            others = [await app.next(), await app.next()]
            assert {each.data for each in others} == {b"a", b"b"}
            for each in (first, *others):
                each.ack()
            await app.close()
        rest = await subscriber.pull(
            request={"subscription": subscription, "max_messages": 5, "return_immediately": True}
        )
        assert not rest.received_messages
        await subscriber.delete_subscription(subscription=subscription)


async def test_what_the_callback_acknowledges_is_done(
    server: PubSubServer, publisher: PublisherAsyncClient, pulling: str
) -> None:
    with subscribed(server.address) as app:
        await publisher.publish(topic=TOPIC, messages=[message(b"1"), message(b"2")])
        (await app.next()).ack()
        await app.next()
        await app.close()
    assert server.outstanding(PULL) == 1


async def test_what_the_callback_gives_back_comes_again(
    server: PubSubServer, publisher: PublisherAsyncClient, pulling: str
) -> None:
    with subscribed(server.address) as app:
        await publisher.publish(topic=TOPIC, messages=[message(b"again")])
        first = await app.next()
        first.nack()
        second = await app.next()
        assert (second.message_id, second.data) == (first.message_id, b"again")
        assert second.ack_id != first.ack_id
        second.ack()
        await app.close()
    assert server.outstanding(PULL) == 0


async def test_the_subscriber_gets_no_more_at_once_than_it_wants(
    server: PubSubServer, publisher: PublisherAsyncClient, pulling: str
) -> None:
    with subscribed(server.address, at_once=1) as app:
        await publisher.publish(topic=TOPIC, messages=[message(b"1"), message(b"2")])
        first = await app.next()
        assert first.data == b"1"
        assert app.nothing_more()
        first.ack()
        second = await app.next()
        assert second.data == b"2"
        second.ack()
        await app.close()
    assert server.outstanding(PULL) == 0


async def test_the_subscriber_is_told_when_its_subscription_is_deleted(
    server: PubSubServer, subscriber: SubscriberAsyncClient, pulling: str
) -> None:
    with subscribed(server.address) as app:
        await subscriber.delete_subscription(subscription=PULL)
        with pytest.raises(exceptions.NotFound):
            await app.ended()


class Stream:
    """The RPC as it is."""

    def __init__(self, subscriber: SubscriberAsyncClient) -> None:
        self._subscriber = subscriber
        self._requests: asyncio.Queue[Any] = asyncio.Queue()
        self._responses: asyncio.Task[Any] | None = None

    def say(self, **request: Any) -> None:
        self._requests.put_nowait(request)
        if self._responses is None:
            self._responses = asyncio.create_task(self._opened())

    async def hear(self) -> types.ReceivedMessage:
        """The next message; raises what ends the stream, StopAsyncIteration for no error."""
        assert self._responses
        received: types.ReceivedMessage
        async with asyncio.timeout(PATIENCE_SECONDS):
            (received,) = (await anext(await self._responses)).received_messages
        return received

    def finish(self) -> None:
        self._requests.put_nowait(None)

    async def _opened(self) -> Any:
        # What is refused at once may be raised here already.
        return aiter(await self._subscriber.streaming_pull(requests=self._sent()))

    async def _sent(self) -> AsyncIterator[Any]:
        while (request := await self._requests.get()) is not None:
            yield types.StreamingPullRequest(request)


FIRST = {"subscription": PULL, "stream_ack_deadline_seconds": 600}


async def test_a_stream_acknowledges_and_ends_with_its_client(
    server: PubSubServer,
    publisher: PublisherAsyncClient,
    subscriber: SubscriberAsyncClient,
    pulling: str,
) -> None:
    await publisher.publish(topic=TOPIC, messages=[message(b"1"), message(b"2")])
    stream = Stream(subscriber)
    stream.say(**FIRST, max_outstanding_messages=1)
    first = await stream.hear()
    stream.say()  # keeps the connection alive
    stream.say(ack_ids=[first.ack_id])
    assert (await stream.hear()).message.data == b"2"
    assert server.outstanding(PULL) == 1
    stream.finish()
    with pytest.raises(StopAsyncIteration):
        await stream.hear()


async def test_a_stream_gives_back_by_a_deadline_of_zero(
    publisher: PublisherAsyncClient, subscriber: SubscriberAsyncClient, pulling: str
) -> None:
    await publisher.publish(topic=TOPIC, messages=[message(b"1")])
    stream = Stream(subscriber)
    stream.say(**FIRST)
    first = await stream.hear()
    stream.say(modify_deadline_ack_ids=[first.ack_id], modify_deadline_seconds=[0])
    assert (await stream.hear()).message == first.message
    stream.finish()


@pytest.mark.parametrize(
    "limit", [{"max_outstanding_messages": 1}, {"max_outstanding_bytes": 10}], ids=str
)
async def test_a_stream_holds_no_more_than_its_client_wants(
    publisher: PublisherAsyncClient,
    subscriber: SubscriberAsyncClient,
    pulling: str,
    limit: dict[str, int],
) -> None:
    await publisher.publish(topic=TOPIC, messages=[message(b"x" * 10), message(b"y" * 10)])
    stream, other = Stream(subscriber), Stream(subscriber)
    stream.say(**FIRST, **limit)
    assert (await stream.hear()).message.data == b"x" * 10
    other.say(**FIRST)
    assert (await other.hear()).message.data == b"y" * 10
    stream.finish()
    other.finish()


async def test_what_a_stream_leaves_comes_again_when_its_own_deadline_has_passed() -> None:
    # 10 s pass in 0.1 s, and the subscription's own 600 s in six.
    async with PubSubServer(second=0.01) as server, clients_at(server.address) as clients:
        publisher, subscriber = clients
        await publisher.create_topic(name=TOPIC)
        await subscriber.create_subscription(
            types.Subscription(name=PULL, topic=TOPIC, ack_deadline_seconds=600)
        )
        await publisher.publish(topic=TOPIC, messages=[message(b"pulled"), message(b"streamed")])
        await subscriber.pull(subscription=PULL, max_messages=1)
        stream = Stream(subscriber)
        stream.say(subscription=PULL, stream_ack_deadline_seconds=10)
        told = [(await stream.hear()).message.data for _ in range(2)]
        assert told == [b"streamed"] * 2
        stream.finish()


@pytest.mark.parametrize(
    ("first", "error"),
    [
        ({**FIRST, "subscription": f"{PULL}-none"}, exceptions.NotFound),
        ({"subscription": PULL}, exceptions.InvalidArgument),
        ({**FIRST, "stream_ack_deadline_seconds": 9}, exceptions.InvalidArgument),
        ({**FIRST, "stream_ack_deadline_seconds": 601}, exceptions.InvalidArgument),
        ({**FIRST, "modify_deadline_ack_ids": ["1-1"]}, exceptions.InvalidArgument),
        ({**FIRST, "ack_ids": ["nonsense"]}, exceptions.InvalidArgument),
    ],
    ids=[
        "no subscription",
        "no deadline",
        "a short deadline",
        "a long deadline",
        "an ack id without its deadline",
        "no ack id",
    ],
)
async def test_a_stream_that_makes_no_sense_is_refused(
    subscriber: SubscriberAsyncClient, pulling: str, first: Any, error: type[Exception]
) -> None:
    stream = Stream(subscriber)
    stream.say(**first)
    with pytest.raises(error):
        await stream.hear()


async def test_the_subscription_is_named_only_once(
    publisher: PublisherAsyncClient, subscriber: SubscriberAsyncClient, pulling: str
) -> None:
    await publisher.publish(topic=TOPIC, messages=[message(b"1")])
    stream = Stream(subscriber)
    stream.say(**FIRST)
    await stream.hear()
    stream.say(**FIRST)
    with pytest.raises(exceptions.InvalidArgument):
        await stream.hear()


async def test_a_stream_ends_when_its_subscription_begins_to_push(
    publisher: PublisherAsyncClient, subscriber: SubscriberAsyncClient, pulling: str
) -> None:
    await publisher.publish(topic=TOPIC, messages=[message(b"1")])
    stream = Stream(subscriber)
    stream.say(**FIRST)
    await stream.hear()
    config = types.PushConfig(push_endpoint="http://127.0.0.1:9/")
    await subscriber.modify_push_config(subscription=PULL, push_config=config)
    with pytest.raises(exceptions.FailedPrecondition):
        await stream.hear()
