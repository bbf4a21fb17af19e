"""What the tests of the embedded Pub/Sub share: names, messages, clients on a channel."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient, types
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport

TOPIC = "projects/unring/topics/call-events"
PULL = "projects/unring/subscriptions/pull"

Clients = tuple[PublisherAsyncClient, SubscriberAsyncClient]


@asynccontextmanager
async def clients_at(address: str) -> AsyncIterator[Clients]:
    # gRPC's own limit of 4 MB is lifted, as it is in the channel that the client makes by itself.
    options = [("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(address, options) as channel:
        yield (
            PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel)),
            SubscriberAsyncClient(transport=SubscriberGrpcAsyncIOTransport(channel=channel)),
        )


def message(data: bytes = b"x", /, **attributes: str) -> types.PubsubMessage:
    return types.PubsubMessage(data=data, attributes=attributes)
