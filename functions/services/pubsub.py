"""Pub/Sub: publishes events in one unary call, which is over when it returns.

The library's batching publisher works in threads, which Cloud Run stops between requests, and waits
14 ms for more messages, which never come. A call on the channel that it is built on does neither.
"""

from collections.abc import Awaitable, Callable, Iterable
from functools import cached_property

import grpc
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.pubsub_v1 import types
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport

from functions.ports.publisher import PublishFailed
from functions.published import Published, attributes, encode
from functions.services import rpc
from functions.services.rpc import Message
from functions.settings import TopicSettings
from functions.telemetry import traceparent

_PUBLISH = "/google.pubsub.v1.Publisher/Publish"
_Request = types.PublishRequest.pb()
_Reply = types.PublishResponse.pb()

_LARGE_METADATA = ("grpc.max_metadata_size", 4 * 1024 * 1024)


class PubSubPublisher:
    """Publishes to one topic, which is named in full: `projects/NAME/topics/NAME`."""

    def __init__(self, connect: Callable[[], grpc.aio.Channel], topic: str) -> None:
        """`connect` is called when something is first published."""
        self._connect = connect
        self._topic = topic

    async def publish(self, *events: Published) -> None:
        """1 Publish, however many `events` there are."""
        request = _request(self._topic, events)
        try:
            await self._publish(request)
        except (exceptions.GoogleAPICallError, exceptions.RetryError, GoogleAuthError) as error:
            raise PublishFailed(f"{type(error).__name__}: {error}") from error

    async def warm_up(self) -> None:
        """Opens the channel, so that the first event need not wait for it."""
        await self._channel.channel_ready()

    @cached_property
    def _publish(self) -> Callable[[Message], Awaitable[Message]]:
        return rpc.unary(self._channel, _PUBLISH, _Reply, rpc.headers(topic=self._topic))

    @cached_property
    def _channel(self) -> grpc.aio.Channel:
        return self._connect()


def _request(topic: str, events: Iterable[Published]) -> Message:
    trace = traceparent()
    more = {"traceparent": trace} if trace else {}
    request = _Request(topic=topic)
    for event in events:
        request.messages.add(data=encode(event), attributes={**attributes(event), **more})
    return request


def connect(settings: TopicSettings) -> PubSubPublisher:
    """The publisher for EVENTS_TOPIC."""
    topic = f"projects/{settings.project}/topics/{settings.events_topic}"
    return PubSubPublisher(lambda: _connected(settings.pubsub_emulator), topic)


def _connected(emulator: str | None) -> grpc.aio.Channel:
    if emulator is None:
        options = [rpc.KEPT_ALIVE, *rpc.ANY_SIZE, _LARGE_METADATA]
        return PublisherGrpcAsyncIOTransport.create_channel(options=options)
    return grpc.aio.insecure_channel(emulator)
