"""The events that a subscription gave up."""

import json

import grpc
from google.pubsub_v1 import SubscriberAsyncClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport

from infra.local.stack import Stack
from infra.local.topology import DEAD_LETTERS


async def dead_letters(stack: Stack) -> dict[str, set[str]]:
    """By call, the subscriptions that gave its event up; they are then gone."""
    found: dict[str, set[str]] = {}
    subscription = f"projects/{stack.project}/subscriptions/{DEAD_LETTERS}"
    async with grpc.aio.insecure_channel(stack.pubsub) as channel:
        client = SubscriberAsyncClient(transport=SubscriberGrpcAsyncIOTransport(channel=channel))
        while True:
            request = {
                "subscription": subscription,
                "max_messages": 100,
                "return_immediately": True,
            }
            pulled = (await client.pull(request=request)).received_messages
            if not pulled:
                return found
            for each in pulled:
                event = json.loads(each.message.data)
                source = each.message.attributes["CloudPubSubDeadLetterSourceSubscription"]
                # Those of a webhook are named by its URL, too.
                name = source.rpartition("/")[2].partition("-")[0]
                found.setdefault(event.get("callId", ""), set()).add(name)
            await client.acknowledge(
                subscription=subscription, ack_ids=[each.ack_id for each in pulled]
            )
