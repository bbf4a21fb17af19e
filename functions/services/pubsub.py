"""Pub/Sub: publishes events in one unary call, which is over when it returns.

The library's batching publisher works in threads, which Cloud Run stops between requests, and waits
14 ms for more messages, which never come. A call on the channel that it is built on does neither.
"""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError

from functions.later import load_later
from functions.ports.publisher import PublishFailed
from functions.published import Published, attributes, encode
from functions.settings import TopicSettings
from functions.telemetry import traceparent

if TYPE_CHECKING:
    from functions.services.topic import Topic

load_later("functions.services.topic")


class PubSubPublisher:
    """Publishes to one topic."""

    def __init__(self, connect: Callable[[], "Topic"]) -> None:
        """`connect` is called when something is first published."""
        self._connect = connect

    @cached_property
    def _topic(self) -> "Topic":
        return self._connect()

    async def publish(self, *events: Published) -> None:
        """1 Publish, however many `events` there are."""
        trace = traceparent()
        traced = {"traceparent": trace} if trace else {}
        messages = [(encode(event), {**attributes(event), **traced}) for event in events]
        try:
            await self._topic.publish(messages)
        except (exceptions.GoogleAPICallError, exceptions.RetryError, GoogleAuthError) as error:
            raise PublishFailed(f"{type(error).__name__}: {error}") from error

    async def warm_up(self) -> None:
        """Opens the channel, so that the first event need not wait for it."""
        await self._topic.channel.channel_ready()


def connect(settings: TopicSettings) -> PubSubPublisher:
    """The publisher for EVENTS_TOPIC."""
    name = f"projects/{settings.project}/topics/{settings.events_topic}"
    return PubSubPublisher(lambda: _topic(name, settings.pubsub_emulator))


def _topic(name: str, emulator: str | None) -> "Topic":
    # The library is imported only now: until something is published, a socket may have been told,
    # and many an instance of `push` never publishes.
    from functions.services.topic import Topic

    return Topic(name, emulator)
