"""Topics and subscriptions, and the API's methods on them. Knows no gRPC but its status codes."""

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime

import grpc
from google.pubsub_v1 import types

from infra.emulators.pubsub.rules import (
    Refused,
    change,
    check_publish,
    check_topic,
    complete,
    invalid,
)
from infra.emulators.pubsub.streaming import deliveries
from infra.emulators.pubsub.subscription import (
    Delivery,
    Message,
    Post,
    Subscription,
    Surroundings,
)

_DELETED_TOPIC = "_deleted-topic_"
_DEFAULT_PAGE = 100
_DEAD_LETTER = "CloudPubSubDeadLetterSource"


class Broker:
    """The state of one Pub/Sub and the methods that clients call; each may raise Refused.

    A method that gives None answers with google.protobuf.Empty.
    """

    def __init__(self, post: Post, now: Callable[[], datetime], second: float) -> None:
        self._now = now
        self._topics: dict[str, types.Topic] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._settled = asyncio.Event()
        self._around = Surroundings(post, self._bury, self._settled.set, second)
        # Ids of two servers one after the other differ, as a client may have kept one.
        self._ids = itertools.count(time.time_ns() // 1000)

    def outstanding(self, subscription: str) -> int:
        """How many messages that subscription has yet to see acknowledged or dead-lettered."""
        return self._subscription(subscription).outstanding

    async def idle(self) -> None:
        """Returns once no push subscription has a message outstanding."""
        while any(each.pushes and each.outstanding for each in self._subscriptions.values()):
            self._settled.clear()
            await self._settled.wait()

    async def close(self) -> None:
        await asyncio.gather(*(each.close() for each in self._subscriptions.values()))

    async def create_topic(self, request: types.Topic) -> types.Topic:
        check_topic(request)
        if request.name in self._topics:
            raise _exists(request.name)
        self._topics[request.name] = types.Topic(request, state=types.Topic.State.ACTIVE)
        return self._topics[request.name]

    async def get_topic(self, request: types.GetTopicRequest) -> types.Topic:
        return self._topic(request.topic)

    async def list_topics(self, request: types.ListTopicsRequest) -> types.ListTopicsResponse:
        names, following = _page(self._topics, request)
        topics = [self._topics[name] for name in names]
        return types.ListTopicsResponse(topics=topics, next_page_token=following)

    async def delete_topic(self, request: types.DeleteTopicRequest) -> None:
        del self._topics[self._topic(request.topic).name]
        for each in self._subscriptions.values():
            if each.config.topic == request.topic:
                each.config.topic = _DELETED_TOPIC

    async def publish(self, request: types.PublishRequest) -> types.PublishResponse:
        topic = self._topic(request.topic)
        check_publish(request)
        messages = [
            self._accept(topic.name, each.data, dict(each.attributes), each.ordering_key)
            for each in request.messages
        ]
        return types.PublishResponse(message_ids=[message.id for message in messages])

    async def create_subscription(self, request: types.Subscription) -> types.Subscription:
        config = complete(request)
        if config.name in self._subscriptions:
            raise _exists(config.name)
        self._topic(config.topic)
        self._check_dead_letter_topic(config)
        self._subscriptions[config.name] = Subscription(config, self._around)
        return config

    async def get_subscription(self, request: types.GetSubscriptionRequest) -> types.Subscription:
        return self._subscription(request.subscription).config

    async def update_subscription(
        self, request: types.UpdateSubscriptionRequest
    ) -> types.Subscription:
        subscription = self._subscription(request.subscription.name)
        config = change(subscription.config, request.subscription, request.update_mask.paths)
        self._check_dead_letter_topic(config)
        subscription.reconfigure(config)
        return config

    async def modify_push_config(self, request: types.ModifyPushConfigRequest) -> None:
        subscription = self._subscription(request.subscription)
        asked = types.Subscription(push_config=request.push_config)
        subscription.reconfigure(change(subscription.config, asked, ["push_config"]))

    async def list_subscriptions(
        self, request: types.ListSubscriptionsRequest
    ) -> types.ListSubscriptionsResponse:
        names, following = _page(self._subscriptions, request)
        configs = [self._subscriptions[name].config for name in names]
        return types.ListSubscriptionsResponse(subscriptions=configs, next_page_token=following)

    async def delete_subscription(self, request: types.DeleteSubscriptionRequest) -> None:
        subscription = self._subscription(request.subscription)
        del self._subscriptions[request.subscription]
        await subscription.close()

    async def pull(self, request: types.PullRequest) -> types.PullResponse:
        subscription = self._subscription(request.subscription)
        if request.max_messages < 1:
            raise invalid("max_messages is less than 1")
        leased = await subscription.pull(request.max_messages, at_once=request.return_immediately)
        counted = "dead_letter_policy" in subscription.config
        return types.PullResponse(received_messages=[_received(each, counted) for each in leased])

    async def streaming_pull(
        self, requests: AsyncIterator[types.StreamingPullRequest]
    ) -> AsyncGenerator[types.StreamingPullResponse, None]:
        """One message in each response, so that no response is too large."""
        first = await anext(requests, None)
        if first is None:
            return
        subscription = self._subscription(first.subscription)
        async with aclosing(deliveries(subscription, first, requests)) as leased:
            async for each in leased:
                received = _received(each, "dead_letter_policy" in subscription.config)
                yield types.StreamingPullResponse(received_messages=[received])

    async def acknowledge(self, request: types.AcknowledgeRequest) -> None:
        self._subscription(request.subscription).acknowledge(request.ack_ids)

    async def modify_ack_deadline(self, request: types.ModifyAckDeadlineRequest) -> None:
        subscription = self._subscription(request.subscription)
        subscription.modify_ack_deadline(request.ack_ids, request.ack_deadline_seconds)

    def _accept(
        self, topic: str, data: bytes, attributes: dict[str, str], ordering_key: str
    ) -> Message:
        """Takes one message into `topic`, for the subscriptions that it has at this moment."""
        message = Message(str(next(self._ids)), data, attributes, self._now(), ordering_key)
        for each in self._subscriptions.values():
            if each.config.topic == topic:
                each.add(message)
        return message

    def _bury(self, config: types.Subscription, delivery: Delivery) -> bool:
        """Publishes to the dead-letter topic, saying where from; false if the topic is gone."""
        topic = config.dead_letter_policy.dead_letter_topic
        if topic not in self._topics:
            return False
        _, project, _, subscription = config.name.split("/")
        message = delivery.message
        published = message.published.astimezone(UTC).isoformat(timespec="milliseconds")
        origin = {
            f"{_DEAD_LETTER}DeliveryCount": str(delivery.attempt),
            f"{_DEAD_LETTER}Subscription": subscription,
            f"{_DEAD_LETTER}SubscriptionProject": project,
            f"{_DEAD_LETTER}TopicPublishTime": published,
        }
        self._accept(topic, message.data, {**message.attributes, **origin}, message.ordering_key)
        return True

    def _check_dead_letter_topic(self, config: types.Subscription) -> None:
        if "dead_letter_policy" in config:
            self._topic(config.dead_letter_policy.dead_letter_topic)

    def _topic(self, name: str) -> types.Topic:
        topic = self._topics.get(name)
        if topic is None:
            raise _not_found(name)
        return topic

    def _subscription(self, name: str) -> Subscription:
        subscription = self._subscriptions.get(name)
        if subscription is None:
            raise _not_found(name)
        return subscription


def _received(delivery: Delivery, counted: bool) -> types.ReceivedMessage:
    message = delivery.message
    return types.ReceivedMessage(
        ack_id=delivery.ack_id,
        message=types.PubsubMessage(
            data=message.data,
            attributes=message.attributes,
            message_id=message.id,
            publish_time=message.published,
            ordering_key=message.ordering_key,
        ),
        delivery_attempt=delivery.attempt if counted else 0,
    )


def _page(
    names: "dict[str, types.Topic] | dict[str, Subscription]",
    request: types.ListTopicsRequest | types.ListSubscriptionsRequest,
) -> tuple[Sequence[str], str]:
    """One page of the project's names, and the token of the next page or an empty string."""
    if request.page_size < 0:
        raise invalid("page_size is negative")
    if request.page_token and not request.page_token.isdecimal():
        raise invalid(f"Invalid page_token: {request.page_token!r}")
    own = sorted(name for name in names if name.startswith(f"{request.project}/"))
    start = int(request.page_token or 0)
    end = start + (request.page_size or _DEFAULT_PAGE)
    return own[start:end], str(end) if end < len(own) else ""


def _not_found(name: str) -> Refused:
    return Refused(grpc.StatusCode.NOT_FOUND, f"Resource not found (resource={_last(name)}).")


def _exists(name: str) -> Refused:
    return Refused(
        grpc.StatusCode.ALREADY_EXISTS,
        f"Resource already exists in the project (resource={_last(name)}).",
    )


def _last(name: str) -> str:
    return name.rpartition("/")[2]
