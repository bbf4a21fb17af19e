"""The event publisher, and what a push subscription makes of it, on both Pub/Subs."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest
from google.pubsub_v1 import (
    PublisherAsyncClient,
    PushConfig,
    RetryPolicy,
    SubscriberAsyncClient,
    Subscription,
)
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from functions import telemetry
from functions.attempt import Attempt, MessageId, NotDelivered
from functions.calls.call import ConnectionId
from functions.inbound.pubsub import receive
from functions.ports.publisher import PublishFailed
from functions.published import ConnectionAccepted, Published, attributes, decode
from functions.services import topic as topics
from functions.services.pubsub import PubSubPublisher, connect
from functions.settings import TopicSettings
from infra.emulators.http import serving
from tests.support.makers import event, now
from tests.support.processes import settings_of
from tests.support.relay import relay

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OPENED = ConnectionAccepted(connection_id=ConnectionId("1="), connected_at=now(), expires_at=now())


@dataclass
class Topic:
    """A topic of the test's own, with a publisher for it."""

    name: str
    publisher: PubSubPublisher
    admin: PublisherAsyncClient
    subscriber: SubscriberAsyncClient

    def settings(self, address: str) -> TopicSettings:
        """Of a function that publishes to this topic, by the Pub/Sub at `address`."""
        topic = self.name.rpartition("/")[2]
        return settings_of(TopicSettings, PUBSUB_EMULATOR_HOST=address, EVENTS_TOPIC=topic)

    async def subscribe(self, **changes: object) -> str:
        name = self.name.replace("/topics/", "/subscriptions/")
        subscription = Subscription(name=name, topic=self.name, **changes)
        await self.subscriber.create_subscription(request=subscription)
        return name


@pytest.fixture
async def topic(pubsub: str, project: str) -> AsyncIterator[Topic]:
    # Google's emulator is started for one project, so the topic's name makes the difference.
    name = f"projects/unring-test/topics/{project}"
    async with grpc.aio.insecure_channel(pubsub) as channel:
        transport = PublisherGrpcAsyncIOTransport(channel=channel)
        admin = PublisherAsyncClient(transport=transport)
        await admin.create_topic(name=name)
        subscriber = SubscriberAsyncClient(
            transport=SubscriberGrpcAsyncIOTransport(channel=channel)
        )
        yield Topic(name, PubSubPublisher(lambda: topics.Topic(name, pubsub)), admin, subscriber)


@pytest.mark.parametrize("made", [event(served=("1=", "2=")), OPENED], ids=["call", "connection"])
async def test_an_event_is_published_with_its_trace_and_what_subscriptions_filter_by(
    topic: Topic, made: Published
) -> None:
    subscription = await topic.subscribe()
    with telemetry.request("unring-test", TRACEPARENT):
        await topic.publisher.publish(made)
    pulled = await topic.subscriber.pull(subscription=subscription, max_messages=1)
    (message,) = (received.message for received in pulled.received_messages)
    assert decode(message.data) == made
    assert dict(message.attributes) == {**attributes(made), "traceparent": TRACEPARENT}


async def test_a_function_publishes_to_the_topic_of_its_settings(topic: Topic, pubsub: str) -> None:
    subscription = await topic.subscribe()
    made = event()
    await connect(topic.settings(pubsub)).publish(made)
    pulled = await topic.subscriber.pull(subscription=subscription, max_messages=1)
    assert [decode(received.message.data) for received in pulled.received_messages] == [made]


async def test_warming_up_connects_before_anything_is_published(topic: Topic, pubsub: str) -> None:
    async with relay(f"http://{pubsub}") as relayed:
        publisher = connect(topic.settings(urlsplit(relayed.url).netloc))
        assert relayed.handshakes == []
        await publisher.warm_up()
        assert "PRI * HTTP/2.0" in relayed.handshakes
        await publisher.publish(event())


async def test_a_function_without_credentials_publishes_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(PublishFailed, match="DefaultCredentialsError"):
        await connect(settings_of(TopicSettings)).publish(event())


async def test_a_topic_that_is_not_there_takes_no_event(topic: Topic) -> None:
    await topic.admin.delete_topic(topic=topic.name)
    with pytest.raises(PublishFailed):
        await topic.publisher.publish(event())


async def test_a_pubsub_that_is_down_takes_no_event() -> None:
    publisher = connect(settings_of(TopicSettings, PUBSUB_EMULATOR_HOST="127.0.0.1:9"))
    with pytest.raises(PublishFailed):
        await publisher.publish(event())


@dataclass
class Handler:
    """Takes deliveries as `deliver` and `push` do; the first `failures` are not delivered."""

    failures: int = 0
    attempts: int = 0
    delivered: asyncio.Queue[Published] = field(default_factory=asyncio.Queue)
    traces: list[str | None] = field(default_factory=list)
    messages: set[MessageId] = field(default_factory=set)

    async def __call__(self, made: Published, attempt: Attempt) -> None:
        self.attempts += 1
        self.messages.add(attempt.message)
        self.traces.append(telemetry.traceparent())
        if self.attempts <= self.failures:
            raise NotDelivered("not this time")
        self.delivered.put_nowait(made)


@pytest.mark.parametrize("failures", [0, 2])
async def test_an_event_is_delivered_until_it_is_acknowledged(topic: Topic, failures: int) -> None:
    handler = Handler(failures)

    async def endpoint(request: Request) -> Response:
        return await receive(request, "unring-test", handler)

    async with serving(Starlette(routes=[Route("/", endpoint, methods=["POST"])])) as url:
        subscription = await topic.subscribe(
            push_config=PushConfig(push_endpoint=url),
            retry_policy=RetryPolicy(
                minimum_backoff=timedelta(milliseconds=50),
                maximum_backoff=timedelta(milliseconds=100),
            ),
        )
        made = event(served=("1=",))
        with telemetry.request("unring-test", TRACEPARENT):
            await topic.publisher.publish(made)
        async with asyncio.timeout(20):
            assert await handler.delivered.get() == made
        assert handler.attempts == failures + 1
        assert set(handler.traces) == {TRACEPARENT}
        assert len(handler.messages) == 1  # the same however often it comes: a claim goes by it
        await topic.subscriber.delete_subscription(subscription=subscription)
