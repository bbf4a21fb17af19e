"""Pub/Sub: publishes events in one unary call, which is over when it returns.

The library's batching publisher works in threads, which Cloud Run stops between requests, and waits
14 ms for more messages, which never come. The generated client that it is built on does neither.
"""

from collections.abc import Callable
from functools import cached_property

import grpc
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.pubsub_v1 import PublisherAsyncClient, PubsubMessage
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport

from functions.ports.publisher import PublishFailed
from functions.published import Published, attributes, encode
from functions.services.rpc import LIMITS
from functions.settings import TopicSettings
from functions.telemetry import traceparent


class PubSubPublisher:
    """Publishes to one topic, which is named in full: `projects/NAME/topics/NAME`."""

    def __init__(self, connect: Callable[[], PublisherGrpcAsyncIOTransport], topic: str) -> None:
        """`connect` is called when something is first published."""
        self._connect = connect
        self._topic = topic

    @cached_property
    def _transport(self) -> PublisherGrpcAsyncIOTransport:
        return self._connect()

    @cached_property
    def _client(self) -> PublisherAsyncClient:
        return PublisherAsyncClient(transport=self._transport)

    async def publish(self, *events: Published) -> None:
        """1 Publish, however many `events` there are."""
        messages = [_message(event) for event in events]
        try:
            await self._client.publish(topic=self._topic, messages=messages, **LIMITS)
        except (exceptions.GoogleAPICallError, exceptions.RetryError, GoogleAuthError) as error:
            raise PublishFailed(f"{type(error).__name__}: {error}") from error

    async def warm_up(self) -> None:
        """Opens the channel, so that the first event need not wait for it."""
        await self._transport.grpc_channel.channel_ready()


def _message(event: Published) -> PubsubMessage:
    trace = traceparent()
    more = {"traceparent": trace} if trace else {}
    return PubsubMessage(data=encode(event), attributes={**attributes(event), **more})


def connect(settings: TopicSettings) -> PubSubPublisher:
    """The publisher for EVENTS_TOPIC."""
    topic = f"projects/{settings.project}/topics/{settings.events_topic}"
    return PubSubPublisher(lambda: _transport(settings.pubsub_emulator), topic)


def _transport(emulator: str | None) -> PublisherGrpcAsyncIOTransport:
    if emulator is None:
        return PublisherGrpcAsyncIOTransport()
    return PublisherGrpcAsyncIOTransport(channel=grpc.aio.insecure_channel(emulator))
