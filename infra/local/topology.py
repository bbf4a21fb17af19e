"""What stands between the functions: the API's routes, the topic and its subscriptions, the queue.

The same as in the cloud, in the services' own terms, so that the local stack plays what is
deployed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

import grpc
from google.cloud.tasks_v2 import CloudTasksAsyncClient, Queue, RetryConfig
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcAsyncIOTransport
from google.pubsub_v1 import (
    DeadLetterPolicy,
    PublisherAsyncClient,
    PushConfig,
    RetryPolicy,
    SubscriberAsyncClient,
    Subscription,
)
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport

from functions.settings import webhook_name
from infra.emulators.apigateway import Options, Route

# The stage, and a mapping key on a custom domain: the path of a Socket.IO client that names none.
API = Options(api_id="unring0000", base_paths=("/dev", "/socket.io"))

TOPIC = "call-events"
DEAD_LETTERS = "call-events-dead"
DELIVER_FILTER = "NOT attributes:only"  # whatever is not for one other function alone
PUSH_FILTER = 'attributes.push = "true"'
WEBHOOK_FILTER = 'attributes.webhook = "true"'
WANTED_FILTER = 'attributes.wanted = "true"'
RING_FILTER = 'attributes.ring = "true"'
ACK_SECONDS = 20
MAX_ATTEMPTS = 10
# A webhook is waited for longer, and tried for some 15 hours, which are the most that there are.
WEBHOOK_ACK_SECONDS = 30
WEBHOOK_MAX_ATTEMPTS = 100


# How long a failed delivery waits, at least and at most.
Backoff = tuple[timedelta, timedelta]
BACKOFF: Backoff = (timedelta(seconds=1), timedelta(seconds=10))
WEBHOOK_BACKOFF: Backoff = (timedelta(seconds=10), timedelta(seconds=600))
# The end of a ring is worth a try for so long, and so often at least.
TASK_ATTEMPTS = 10
TASK_DURATION = timedelta(minutes=10)

_HEADER = "integration.request.header"
_EVERY_ROUTE = {
    f"{_HEADER}.Unring-Connection-Id": "context.connectionId",
    f"{_HEADER}.Unring-Event-Type": "context.eventType",
    f"{_HEADER}.Unring-Request-Time": "context.requestTimeEpoch",
}
_FROM_THE_CLIENT = {
    f"{_HEADER}.Unring-Authorization": "route.request.header.Authorization",
    f"{_HEADER}.Unring-Token": "route.request.querystring.token",
    f"{_HEADER}.Unring-Ring": "route.request.querystring.ring",
    f"{_HEADER}.Unring-User-Id": "route.request.querystring.userId",
    f"{_HEADER}.Unring-Device-Id": "route.request.querystring.deviceId",
    f"{_HEADER}.Unring-Subprotocol": "route.request.header.Sec-WebSocket-Protocol",
    # Socket.IO clients say so by these.
    f"{_HEADER}.Unring-Eio": "route.request.querystring.EIO",
    f"{_HEADER}.Unring-Transport": "route.request.querystring.transport",
    f"{_HEADER}.Unring-Sid": "route.request.querystring.sid",
}


# What of a handshake is passed on with another value: a header of the client's WebSocket that some
# servers answer with 400, and what is secret in the query, which would be in the request log.
_REPLACED = {
    f"{_HEADER}.Sec-WebSocket-Version": "'0'",
    "integration.request.querystring.token": "'-'",
    "integration.request.querystring.ring": "'-'",
    "integration.request.querystring.sid": "'-'",
}


def routes(gateway_url: Callable[[], str], secret: str) -> dict[str, Route]:
    """The three routes of the WebSocket API, all to the function `gateway`."""
    every = {**_EVERY_ROUTE, f"{_HEADER}.Unring-Secret": f"'{secret}'"}
    return {
        "$connect": Route(
            gateway_url,
            {**every, **_FROM_THE_CLIENT, **_REPLACED},
            frozenset(_FROM_THE_CLIENT.values()),
        ),
        "$default": Route(gateway_url, every, route_response=True),
        "$disconnect": Route(gateway_url, every),
    }


def caller(project: str) -> str:
    """The service account as which Pub/Sub, Cloud Tasks and Cloud Scheduler call the functions."""
    return f"unring-caller@{project}.iam.gserviceaccount.com"


def queue(project: str) -> str:
    """The queue of the tasks that `ring` schedules."""
    return f"projects/{project}/locations/us-east1/queues/rings"


async def create_queue(address: str, project: str, backoff: Backoff = BACKOFF) -> None:
    """Makes the queue at the Cloud Tasks emulator on `address`."""
    async with grpc.aio.insecure_channel(address) as channel:
        client = CloudTasksAsyncClient(transport=CloudTasksGrpcAsyncIOTransport(channel=channel))
        name = queue(project)
        retries = RetryConfig(
            max_attempts=TASK_ATTEMPTS,
            max_retry_duration=TASK_DURATION,
            min_backoff=backoff[0],
            max_backoff=backoff[1],
        )
        await client.create_queue(
            parent=name.partition("/queues/")[0], queue=Queue(name=name, retry_config=retries)
        )


async def create_subscriptions(
    address: str,
    project: str,
    endpoints: Mapping[str, str],
    backoff: Backoff = BACKOFF,
    webhook_backoff: Backoff = WEBHOOK_BACKOFF,
    webhooks: Iterable[str] = (),
) -> None:
    """Makes the topics and subscriptions at the Pub/Sub emulator on `address`.

    `endpoints` has the URLs of `deliver`, `push` and `ring`, and of `webhook` if there are
    `webhooks`: the URLs that it posts to. Dead letters wait in a subscription that is pulled,
    `call-events-dead`.
    """
    async with grpc.aio.insecure_channel(address) as channel:
        publisher = PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel))
        subscriber = SubscriberAsyncClient(
            transport=SubscriberGrpcAsyncIOTransport(channel=channel)
        )
        topics = {name: f"projects/{project}/topics/{name}" for name in (TOPIC, DEAD_LETTERS)}
        for topic in topics.values():
            await publisher.create_topic(name=topic)
        subscriptions = f"projects/{project}/subscriptions"
        await subscriber.create_subscription(
            name=f"{subscriptions}/{DEAD_LETTERS}", topic=topics[DEAD_LETTERS]
        )
        for each in _deliveries(backoff, webhook_backoff, webhooks):
            subscription = Subscription(
                name=f"{subscriptions}/{each.name}",
                topic=topics[TOPIC],
                filter=each.filter,
                ack_deadline_seconds=each.ack_seconds,
                push_config=PushConfig(
                    push_endpoint=f"{endpoints[each.function]}{each.path}",
                    oidc_token=PushConfig.OidcToken(
                        service_account_email=caller(project), audience=endpoints[each.function]
                    ),
                ),
                retry_policy=RetryPolicy(
                    minimum_backoff=each.backoff[0], maximum_backoff=each.backoff[1]
                ),
            )
            if each.attempts:
                subscription.dead_letter_policy = DeadLetterPolicy(
                    dead_letter_topic=topics[DEAD_LETTERS], max_delivery_attempts=each.attempts
                )
            await subscriber.create_subscription(request=subscription)


def subscriptions(webhooks: Iterable[str] = ()) -> list[str]:
    """The names of those that are pushed to functions."""
    return [each.name for each in _deliveries(BACKOFF, WEBHOOK_BACKOFF, webhooks)]


@dataclass(frozen=True)
class _Deliveries:
    """A subscription that is pushed to a function."""

    name: str
    function: str
    filter: str
    backoff: Backoff
    attempts: int | None = MAX_ATTEMPTS  # None: no dead letters
    ack_seconds: int = ACK_SECONDS
    path: str = ""


def _deliveries(
    backoff: Backoff, webhook_backoff: Backoff, webhooks: Iterable[str]
) -> Iterator[_Deliveries]:
    yield _Deliveries("deliver", "deliver", DELIVER_FILTER, backoff)
    yield _Deliveries("push", "push", PUSH_FILTER, backoff)
    yield _Deliveries("ring", "ring", RING_FILTER, backoff)
    for number, name in enumerate(map(webhook_name, webhooks)):
        yield _Deliveries(
            f"webhook-{name}",
            "webhook",
            WEBHOOK_FILTER,
            webhook_backoff,
            attempts=WEBHOOK_MAX_ATTEMPTS,
            ack_seconds=WEBHOOK_ACK_SECONDS,
            path=f"/{name}",
        )
        # One backend sends each push. It is asked until the event expires, and then never: a late
        # push would silence the next call.
        if number == 0:
            yield _Deliveries(
                f"wanted-{name}",
                "webhook",
                WANTED_FILTER,
                backoff,
                attempts=None,
                ack_seconds=WEBHOOK_ACK_SECONDS,
                path=f"/{name}/wanted",
            )
