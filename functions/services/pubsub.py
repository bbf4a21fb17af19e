"""Pub/Sub: publishes events in one unary call, which is over when it returns.

The library's batching publisher works in threads, which Cloud Run stops between requests, and waits
14 ms for more messages, which never come. A call on the channel that it is built on does neither.
"""

import asyncio
from collections.abc import Callable
from importlib import import_module
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

_TOPIC = "functions.services.topic"
load_later(_TOPIC)


class PubSubPublisher:
    """Publishes to one topic."""

    def __init__(self, connect: Callable[[], "Topic"]) -> None:
        """`connect` is called when something is first published."""
        self._connect = connect
        self._connected: Topic | None = None

    async def _topic(self) -> "Topic":
        if self._connected is None:
            # The library is loaded only now: until something is published, a socket may have been
            # told, and many an instance of `push` never publishes. Other requests go on meanwhile.
            await asyncio.to_thread(import_module, _TOPIC)
            self._connected = self._connected or self._connect()
        return self._connected

    async def publish(self, *events: Published) -> None:
        """1 Publish, however many `events` there are."""
        trace = traceparent()
        traced = {"traceparent": trace} if trace else {}
        messages = [(encode(event), {**attributes(event), **traced}) for event in events]
        try:
            await (await self._topic()).publish(messages)
        except (exceptions.GoogleAPICallError, exceptions.RetryError, GoogleAuthError) as error:
            raise PublishFailed(f"{type(error).__name__}: {error}") from error

    async def warm_up(self) -> None:
        """Opens the channel, so that the first event need not wait for it."""
        await (await self._topic()).channel.channel_ready()


def connect(settings: TopicSettings) -> PubSubPublisher:
    """The publisher for EVENTS_TOPIC."""
    name = f"projects/{settings.project}/topics/{settings.events_topic}"
    return PubSubPublisher(lambda: _topic(name, settings.pubsub_emulator))


def _topic(name: str, emulator: str | None) -> "Topic":
    from functions.services.topic import Topic

    return Topic(name, emulator)
