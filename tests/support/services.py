"""Firestore, Pub/Sub and @connections of one test, and one journal of the calls to all three."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import grpc
import httpx
from google.cloud.firestore import AsyncClient
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport

from functions.ports.store import Store
from functions.published import Published, decode
from functions.services.apigateway import ApiGatewaySockets
from functions.services.firestore import store_of
from functions.services.pubsub import PubSubPublisher
from infra.client.calls import client_at
from infra.emulators.faults import Faults, FaultyRpcs
from infra.emulators.firestore import FirestoreServer
from infra.emulators.pubsub import PubSubServer
from tests.support.connections import ConnectionsServer
from tests.support.journal import Journal
from tests.support.processes import environment

_TOPIC = "events"
_Kind = TypeVar("_Kind", bound=Published)


@dataclass
class Services:
    """The services, our clients of them, and the journal of who was called when."""

    journal: Journal
    faults: Faults  # to what Firestore and Pub/Sub are asked
    client: AsyncClient
    store: Store
    sockets: ApiGatewaySockets
    publisher: PubSubPublisher
    pubsub: PubSubServer
    variables: dict[str, str]  # the environment of a function that uses these services
    subscriber: SubscriberAsyncClient
    subscription: str

    async def published(self, *kinds: type[_Kind]) -> list[_Kind]:
        """What has been published since the last look, all of which must be of these kinds."""
        pulled = await self.subscriber.pull(
            request={
                "subscription": self.subscription,
                "max_messages": 10,
                "return_immediately": True,  # an empty answer is an answer here
            }
        )
        ids = [message.ack_id for message in pulled.received_messages]
        if ids:
            await self.subscriber.acknowledge(subscription=self.subscription, ack_ids=ids)
        made = [decode(message.message.data) for message in pulled.received_messages]
        of_kind = [event for event in made if isinstance(event, kinds)]
        assert of_kind == made
        return of_kind


@asynccontextmanager
async def services_for(connections: ConnectionsServer, project: str) -> AsyncIterator[Services]:
    """Embedded servers, which journal every call, as `connections` does from now on."""
    journal, faults = Journal(), Faults()
    connections.journal = journal
    async with (
        FirestoreServer(interceptors=[journal, FaultyRpcs(faults, "firestore")]) as firestore,
        PubSubServer(interceptors=[journal, FaultyRpcs(faults, "pubsub")]) as pubsub,
        grpc.aio.insecure_channel(pubsub.address) as channel,
        httpx.AsyncClient() as http,
    ):
        topic = f"projects/{project}/topics/{_TOPIC}"
        subscription = f"projects/{project}/subscriptions/all"
        transport = PublisherGrpcAsyncIOTransport(channel=channel)
        await PublisherAsyncClient(transport=transport).create_topic(name=topic)
        subscriber = SubscriberAsyncClient(
            transport=SubscriberGrpcAsyncIOTransport(channel=channel)
        )
        await subscriber.create_subscription(name=subscription, topic=topic)
        client = client_at(firestore.address, project)
        journal.clear()
        yield Services(
            journal=journal,
            faults=faults,
            client=client,
            store=store_of(lambda: client),
            sockets=ApiGatewaySockets(http, connections.url),
            publisher=PubSubPublisher(lambda: transport, topic),
            pubsub=pubsub,
            variables={
                **environment(),
                "GOOGLE_CLOUD_PROJECT": project,
                "EVENTS_TOPIC": _TOPIC,
                "CONNECTIONS_URL": connections.url,
                "DIRECT_POST_TIMEOUT_MS": "1000",  # on a busy machine, a post takes its time
                "FIRESTORE_EMULATOR_HOST": firestore.address,
                "PUBSUB_EMULATOR_HOST": pubsub.address,
                "FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:9",  # nobody asks it anything
            },
            subscriber=subscriber,
            subscription=subscription,
        )
