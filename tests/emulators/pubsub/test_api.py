"""The API of the embedded Pub/Sub, as its unmodified clients see it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient, types

from infra.emulators.pubsub import PubSubServer
from tests.emulators.pubsub.support import PULL, TOPIC, clients_at, message
from tests.support.pace import PATIENCE_SECONDS


@pytest.fixture
async def server() -> AsyncIterator[PubSubServer]:
    # A 10 s ack deadline passes in a second: what is pulled is acknowledged before, on a busy
    # machine too.
    async with PubSubServer(second=0.1) as server:
        yield server


@pytest.fixture
async def pulling(publisher: PublisherAsyncClient, subscriber: SubscriberAsyncClient) -> str:
    await subscriber.create_subscription(name=PULL, topic=TOPIC)
    return PULL


async def test_the_clients_of_google_cloud_find_it_by_the_emulator_variable(
    server: PubSubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", server.address)

    def talk() -> tuple[list[bytes], str, str]:
        with PublisherClient() as publisher, SubscriberClient() as subscriber:
            publisher.create_topic(request={"name": TOPIC})
            subscriber.create_subscription(request={"name": PULL, "topic": TOPIC})
            sent = publisher.publish(TOPIC, b"data", event="call:cancelled").result(10)
            pulled = subscriber.pull(request={"subscription": PULL, "max_messages": 10})
            ids = [each.ack_id for each in pulled.received_messages]
            subscriber.acknowledge(request={"subscription": PULL, "ack_ids": ids})
            got = [each.message for each in pulled.received_messages]
            assert dict(got[0].attributes) == {"event": "call:cancelled"}
            publisher.stop()
            return [each.data for each in got], got[0].message_id, sent

    data, received, sent = await asyncio.to_thread(talk)
    assert data == [b"data"]
    assert received == sent
    assert server.outstanding(PULL) == 0


async def test_topics_are_created_listed_page_by_page_and_deleted(
    publisher: PublisherAsyncClient,
) -> None:
    names = [f"projects/unring/topics/t{number:03}" for number in range(5)]
    for name in names:
        await publisher.create_topic(name=name)
    await publisher.create_topic(name="projects/other/topics/elsewhere")
    assert (await publisher.get_topic(topic=names[0])).name == names[0]
    pager = await publisher.list_topics(request={"project": "projects/unring", "page_size": 2})
    assert [topic.name async for topic in pager] == sorted([TOPIC, *names])
    await publisher.delete_topic(topic=names[0])
    with pytest.raises(exceptions.NotFound):
        await publisher.get_topic(topic=names[0])


async def test_subscriptions_are_listed_and_keep_their_defaults(
    publisher: PublisherAsyncClient, subscriber: SubscriberAsyncClient, pulling: str
) -> None:
    pager = await subscriber.list_subscriptions(project="projects/unring")
    (config,) = [each async for each in pager]
    assert (config.name, config.topic, config.ack_deadline_seconds) == (PULL, TOPIC, 10)
    assert config.message_retention_duration == timedelta(days=7)
    assert config == await subscriber.get_subscription(subscription=PULL)
    policies = types.Subscription(
        name=f"{PULL}-2",
        topic=TOPIC,
        retry_policy={},
        dead_letter_policy={"dead_letter_topic": TOPIC},
    )
    config = await subscriber.create_subscription(policies)
    assert config.retry_policy.minimum_backoff == timedelta(seconds=10)
    assert config.retry_policy.maximum_backoff == timedelta(seconds=600)
    assert config.dead_letter_policy.max_delivery_attempts == 5


async def test_what_does_not_exist_is_not_found(
    publisher: PublisherAsyncClient, subscriber: SubscriberAsyncClient, pulling: str
) -> None:
    topic, name = f"{TOPIC}-none", f"{PULL}-none"
    grave = {"dead_letter_topic": topic}
    for call in (
        publisher.publish(topic=topic, messages=[message()]),
        publisher.delete_topic(topic=topic),
        subscriber.create_subscription(name=name, topic=topic),
        subscriber.create_subscription(
            types.Subscription(name=name, topic=TOPIC, dead_letter_policy=grave)
        ),
        subscriber.get_subscription(subscription=name),
        subscriber.delete_subscription(subscription=name),
        subscriber.pull(subscription=name, max_messages=1),
        subscriber.acknowledge(subscription=name, ack_ids=["1-1"]),
        subscriber.update_subscription(
            subscription=types.Subscription(name=name), update_mask={"paths": ["labels"]}
        ),
        subscriber.update_subscription(
            subscription=types.Subscription(name=PULL, dead_letter_policy=grave),
            update_mask={"paths": ["dead_letter_policy"]},
        ),
    ):
        with pytest.raises(exceptions.NotFound, match="-none"):
            await call


async def test_what_exists_cannot_be_created_again(
    publisher: PublisherAsyncClient, subscriber: SubscriberAsyncClient, pulling: str
) -> None:
    with pytest.raises(exceptions.AlreadyExists):
        await publisher.create_topic(name=TOPIC)
    with pytest.raises(exceptions.AlreadyExists):
        await subscriber.create_subscription(name=PULL, topic=TOPIC)


@pytest.mark.parametrize(
    "name",
    [
        "call-events",
        "projects/unring/topics/ab",
        "projects/unring/topics/1abc",
        "projects/unring/topics/google-topic",
        "projects/unring/topics/a b c",
        "projects/unring/topics/" + "a" * 256,
        "projects/unring/subscriptions/abc",
    ],
)
async def test_a_bad_topic_name_is_invalid(publisher: PublisherAsyncClient, name: str) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        await publisher.create_topic(name=name)


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [types.PubsubMessage()],
        [types.PubsubMessage(ordering_key="only")],
        [message(), types.PubsubMessage()],
        [message()] * 1001,
        [message(**{str(number): "x" for number in range(101)})],
        [message(**{"": "x"})],
        [message(**{"k" * 257: "x"})],
        [message(**{"é" * 129: "x"})],
        [message(k="x" * 1025)],
        [message(googclient="x")],
        [message(b"x" * 10_000_001)],
        [message(b"x" * 6_000_000)] * 2,
    ],
    ids=[
        "no message",
        "an empty message",
        "an ordering key only",
        "an empty message among others",
        "1001 messages",
        "101 attributes",
        "an empty key",
        "a long key",
        "a key long in bytes",
        "a long value",
        "a reserved key",
        "a big message",
        "a big request",
    ],
)
async def test_a_bad_publish_is_invalid_and_publishes_nothing(
    server: PubSubServer,
    publisher: PublisherAsyncClient,
    pulling: str,
    messages: list[types.PubsubMessage],
) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        await publisher.publish(topic=TOPIC, messages=messages)
    assert server.outstanding(PULL) == 0


async def test_a_publish_may_go_to_the_limits(
    server: PubSubServer,
    publisher: PublisherAsyncClient,
    subscriber: SubscriberAsyncClient,
    pulling: str,
) -> None:
    attributes = {f"{number:03}".ljust(256, "k"): "v" * 1024 for number in range(100)}
    full = message(b"x" * 9_500_000, **attributes)
    await publisher.publish(topic=TOPIC, messages=[full])
    pulled = await subscriber.pull(subscription=PULL, max_messages=1)
    assert pulled.received_messages[0].message.data == full.data
    assert pulled.received_messages[0].message.attributes == full.attributes


SECONDS = timedelta(seconds=1)


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "pull"},
        {"name": "projects/unring/subscriptions/goog-pull"},
        {"filter": 'attributes.a = "1" AND attributes.b = "2" OR attributes:c'},
        {"filter": "nonsense"},
        {"filter": 'attributes:"' + "x" * 250 + '"'},
        {"ack_deadline_seconds": 9},
        {"ack_deadline_seconds": 601},
        {"message_retention_duration": SECONDS},
        {"push_config": {"push_endpoint": "ftp://127.0.0.1/"}},
        {"push_config": {"push_endpoint": "127.0.0.1:80"}},
        {"push_config": {"push_endpoint": "http://127.0.0.1:port/"}},
        {"push_config": {"push_endpoint": "http:///path"}},
        {"push_config": {"oidc_token": {"service_account_email": "a@b"}}},
        {"push_config": {"push_endpoint": "http://a/", "oidc_token": {"audience": "x"}}},
        {"retry_policy": {"minimum_backoff": SECONDS, "maximum_backoff": SECONDS / 2}},
        {"retry_policy": {"minimum_backoff": 601 * SECONDS, "maximum_backoff": 601 * SECONDS}},
        {"retry_policy": {"minimum_backoff": -SECONDS}},
        {"dead_letter_policy": {"dead_letter_topic": TOPIC, "max_delivery_attempts": 4}},
        {"dead_letter_policy": {"dead_letter_topic": TOPIC, "max_delivery_attempts": 101}},
        {"dead_letter_policy": {"dead_letter_topic": "dead-letters"}},
        {"dead_letter_policy": {}},
    ],
    ids=str,
)
async def test_bad_settings_of_a_subscription_are_invalid(
    publisher: PublisherAsyncClient, subscriber: SubscriberAsyncClient, settings: dict[str, Any]
) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        await subscriber.create_subscription(
            types.Subscription({"name": PULL, "topic": TOPIC, **settings})
        )
    with pytest.raises(exceptions.NotFound):
        await subscriber.get_subscription(subscription=PULL)


@pytest.mark.parametrize(
    "settings",
    [
        {"enable_message_ordering": True},
        {"enable_exactly_once_delivery": True},
        {"bigquery_config": {"table": "a.b.c"}},
        {"push_config": {"push_endpoint": "http://a/", "no_wrapper": {}}},
    ],
    ids=str,
)
async def test_what_is_not_played_is_refused_and_not_ignored(
    publisher: PublisherAsyncClient, subscriber: SubscriberAsyncClient, settings: dict[str, Any]
) -> None:
    with pytest.raises(exceptions.MethodNotImplemented, match="--google"):
        await subscriber.create_subscription(
            types.Subscription({"name": PULL, "topic": TOPIC, **settings})
        )


@pytest.mark.parametrize("paths", [[], ["filter"], ["topic"], ["name"], ["nonsense"]])
async def test_only_some_settings_can_be_changed(
    subscriber: SubscriberAsyncClient, pulling: str, paths: list[str]
) -> None:
    changed = types.Subscription(name=PULL, filter="attributes:a", topic=f"{TOPIC}-2")
    with pytest.raises(exceptions.InvalidArgument):
        await subscriber.update_subscription(subscription=changed, update_mask={"paths": paths})


async def test_an_update_changes_what_its_mask_names_and_no_more(
    subscriber: SubscriberAsyncClient, pulling: str
) -> None:
    asked = types.Subscription(
        name=PULL, ack_deadline_seconds=30, labels={"a": "b"}, retry_policy={}
    )
    await subscriber.update_subscription(
        subscription=asked, update_mask={"paths": ["ack_deadline_seconds", "retry_policy"]}
    )
    config = await subscriber.get_subscription(subscription=PULL)
    assert config.ack_deadline_seconds == 30
    assert config.retry_policy.maximum_backoff == timedelta(seconds=600)
    assert not config.labels
    await subscriber.update_subscription(
        subscription=types.Subscription(name=PULL), update_mask={"paths": ["retry_policy"]}
    )
    config = await subscriber.get_subscription(subscription=PULL)
    assert "retry_policy" not in config


async def pulled(subscriber: SubscriberAsyncClient) -> list[types.ReceivedMessage]:
    """The next messages; a pull may come back without any."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            answer = await subscriber.pull(subscription=PULL, max_messages=5)
            if answer.received_messages:
                return list(answer.received_messages)


async def test_a_message_comes_again_until_it_is_acknowledged(
    server: PubSubServer,
    publisher: PublisherAsyncClient,
    subscriber: SubscriberAsyncClient,
    pulling: str,
) -> None:
    await publisher.publish(topic=TOPIC, messages=[message(b"again")])
    (late,) = await pulled(subscriber)
    # Its ack deadline passes while this waits.
    (current,) = await pulled(subscriber)
    assert late.message == current.message
    assert late.ack_id != current.ack_id
    await subscriber.acknowledge(subscription=PULL, ack_ids=[late.ack_id])
    assert server.outstanding(PULL) == 1
    await subscriber.acknowledge(subscription=PULL, ack_ids=[current.ack_id, late.ack_id])
    assert server.outstanding(PULL) == 0
    none = await subscriber.pull(subscription=PULL, max_messages=5)
    assert not none.received_messages


async def test_a_message_given_back_comes_again_and_its_attempts_are_counted(
    publisher: PublisherAsyncClient, subscriber: SubscriberAsyncClient
) -> None:
    policy = {"dead_letter_topic": TOPIC}
    await subscriber.create_subscription(
        types.Subscription(
            name=PULL, topic=TOPIC, dead_letter_policy=policy, ack_deadline_seconds=600
        )
    )
    await publisher.publish(topic=TOPIC, messages=[message()])
    for attempt in (1, 2, 3):
        pulled = await subscriber.pull(subscription=PULL, max_messages=5)
        (received,) = pulled.received_messages
        assert received.delivery_attempt == attempt
        await subscriber.modify_ack_deadline(
            subscription=PULL, ack_ids=[received.ack_id], ack_deadline_seconds=0
        )


async def test_a_longer_ack_deadline_keeps_a_message_away(
    server: PubSubServer,
    publisher: PublisherAsyncClient,
    subscriber: SubscriberAsyncClient,
    pulling: str,
) -> None:
    await publisher.publish(topic=TOPIC, messages=[message()])
    pulled = await subscriber.pull(subscription=PULL, max_messages=5)
    ack_ids = [each.ack_id for each in pulled.received_messages]
    await subscriber.modify_ack_deadline(
        subscription=PULL, ack_ids=ack_ids, ack_deadline_seconds=600
    )
    # This pull waits for as long as the first deadline was.
    nothing = await subscriber.pull(subscription=PULL, max_messages=5)
    assert not nothing.received_messages
    await subscriber.acknowledge(subscription=PULL, ack_ids=ack_ids)
    assert server.outstanding(PULL) == 0


async def test_a_pull_gives_no_more_than_was_asked_for(
    publisher: PublisherAsyncClient, subscriber: SubscriberAsyncClient, pulling: str
) -> None:
    await publisher.publish(topic=TOPIC, messages=[message(b"1"), message(b"2"), message(b"3")])
    counts = []
    for limit in (2, 5):
        pulled = await subscriber.pull(subscription=PULL, max_messages=limit)
        counts.append(len(pulled.received_messages))
    assert counts == [2, 1]


async def test_a_waiting_pull_gets_what_is_published_meanwhile() -> None:
    server = PubSubServer()  # with seconds of full length, so that the pull does wait
    async with server, clients_at(server.address) as (publisher, subscriber):
        await publisher.create_topic(name=TOPIC)
        await subscriber.create_subscription(name=PULL, topic=TOPIC)
        waiting = asyncio.ensure_future(subscriber.pull(subscription=PULL, max_messages=1))
        await asyncio.wait([waiting], timeout=0.05)
        await publisher.publish(topic=TOPIC, messages=[message(b"news")])
        pulled = await asyncio.wait_for(waiting, PATIENCE_SECONDS)
        assert [each.message.data for each in pulled.received_messages] == [b"news"]


async def test_bad_pulls_and_acknowledgements_are_refused(
    publisher: PublisherAsyncClient, subscriber: SubscriberAsyncClient, pulling: str
) -> None:
    for call in (
        subscriber.pull(subscription=PULL, max_messages=0),
        subscriber.acknowledge(subscription=PULL, ack_ids=[]),
        subscriber.acknowledge(subscription=PULL, ack_ids=["nonsense"]),
        subscriber.modify_ack_deadline(
            subscription=PULL, ack_ids=["1-1"], ack_deadline_seconds=601
        ),
    ):
        with pytest.raises(exceptions.InvalidArgument):
            await call
    config = types.PushConfig(push_endpoint="http://127.0.0.1:9/")
    await subscriber.modify_push_config(subscription=PULL, push_config=config)
    with pytest.raises(exceptions.FailedPrecondition):
        await subscriber.pull(subscription=PULL, max_messages=1)


async def test_a_subscription_outlives_its_topic(
    publisher: PublisherAsyncClient, subscriber: SubscriberAsyncClient, pulling: str
) -> None:
    await publisher.publish(topic=TOPIC, messages=[message(b"last")])
    await publisher.delete_topic(topic=TOPIC)
    await publisher.create_topic(name=TOPIC)
    await publisher.publish(topic=TOPIC, messages=[message(b"of another topic")])
    config = await subscriber.get_subscription(subscription=PULL)
    assert config.topic == "_deleted-topic_"
    pulled = await subscriber.pull(subscription=PULL, max_messages=5)
    assert [each.message.data for each in pulled.received_messages] == [b"last"]


async def test_a_subscription_made_anew_does_not_have_the_messages_of_the_old(
    server: PubSubServer,
    publisher: PublisherAsyncClient,
    subscriber: SubscriberAsyncClient,
    pulling: str,
) -> None:
    await publisher.publish(topic=TOPIC, messages=[message()])
    await subscriber.delete_subscription(subscription=PULL)
    await subscriber.create_subscription(name=PULL, topic=TOPIC)
    assert server.outstanding(PULL) == 0
