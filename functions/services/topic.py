"""A topic of Pub/Sub, and the one call that publishes to it."""

from collections.abc import Iterable, Mapping

import grpc
from google.pubsub_v1 import types
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport

from functions.services import rpc

_PUBLISH = "/google.pubsub.v1.Publisher/Publish"
_Request = types.PublishRequest.pb()
_Reply = types.PublishResponse.pb()

_LARGE_METADATA = ("grpc.max_metadata_size", 4 * 1024 * 1024)


class Topic:
    """Its name is in full: `projects/NAME/topics/NAME`."""

    def __init__(self, name: str, emulator: str | None = None) -> None:
        """`emulator` is the address of one, as `127.0.0.1:8085`; None: the topic is Google's.

        Raises GoogleAuthError if there are no credentials.
        """
        self.channel = _channel(emulator)
        self._name = name
        self._publish = rpc.unary(self.channel, _PUBLISH, _Reply, rpc.headers(topic=name))

    async def publish(self, messages: Iterable[tuple[bytes, Mapping[str, str]]]) -> None:
        """1 Publish of all messages, each its data and its attributes.

        Raises GoogleAPICallError, or RetryError.
        """
        request = _Request(topic=self._name)
        for data, attributes in messages:
            request.messages.add(data=data, attributes=attributes)
        await self._publish(request)


def _channel(emulator: str | None) -> grpc.aio.Channel:
    options = [*rpc.OPTIONS, _LARGE_METADATA]
    if emulator:
        return grpc.aio.insecure_channel(emulator, options=options)
    return PublisherGrpcAsyncIOTransport.create_channel(options=options)
