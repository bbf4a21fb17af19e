"""Pub/Sub: publishes events, each in one unary call that is over when it returns.

The library's batching publisher works in threads that Cloud Run stops between requests, and
waits 14 ms for company that never comes; the generated client under it does neither.
"""

import grpc
from google.api_core import exceptions
from google.pubsub_v1 import PublisherAsyncClient, PubsubMessage
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport

from functions.published import Published, attributes, encode
from functions.services.rpc import LIMITS
from functions.settings import Settings
from functions.telemetry import traceparent


class PublishFailed(Exception):
    """Pub/Sub did not confirm the event; it may have been published all the same."""


class Publisher:
    """Publishes to the topic `projects/…/topics/…`."""

    def __init__(self, transport: PublisherGrpcAsyncIOTransport, topic: str) -> None:
        self._client = PublisherAsyncClient(transport=transport)
        self._channel = transport.grpc_channel
        self._topic = topic

    async def publish(self, *events: Published) -> None:
        """1 Publish. Raises PublishFailed."""
        messages = [_message(event) for event in events]
        try:
            await self._client.publish(topic=self._topic, messages=messages, **LIMITS)
        except (exceptions.GoogleAPICallError, exceptions.RetryError) as error:
            raise PublishFailed(f"{type(error).__name__}: {error}") from error

    async def warm_up(self) -> None:
        """Opens the channel, so that the first event need not wait for it."""
        await self._channel.channel_ready()


def _message(event: Published) -> PubsubMessage:
    trace = traceparent()
    more = {"traceparent": trace} if trace else {}
    return PubsubMessage(data=encode(event), attributes={**attributes(event), **more})


def connect(settings: Settings) -> Publisher:
    """The publisher for EVENTS_TOPIC."""
    topic = f"projects/{settings.project}/topics/{settings.events_topic}"
    if settings.pubsub_emulator is None:
        return Publisher(PublisherGrpcAsyncIOTransport(), topic)
    channel = grpc.aio.insecure_channel(settings.pubsub_emulator)
    return Publisher(PublisherGrpcAsyncIOTransport(channel=channel), topic)
