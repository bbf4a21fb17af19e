"""One StreamingPull: messages go out as they come, acknowledgements come in between."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from google.pubsub_v1 import types

from infra.emulators.duplex import until_heard
from infra.emulators.pubsub.rules import invalid
from infra.emulators.pubsub.subscription import Delivery, Subscription, Terms


async def deliveries(
    subscription: Subscription,
    first: types.StreamingPullRequest,
    requests: AsyncIterator[types.StreamingPullRequest],
) -> AsyncGenerator[Delivery, None]:
    """Lease messages to one client until it ends its side, and do as its requests say.

    Raises Refused for a request that makes no sense, and when there is nothing to pull any more.
    """
    if not first.stream_ack_deadline_seconds:
        raise invalid("The first request has no stream_ack_deadline_seconds")
    terms = Terms(first.max_outstanding_messages, first.max_outstanding_bytes)
    _hear(subscription, first, terms)

    async def hear() -> None:
        async for request in requests:
            if request.subscription:
                raise invalid("Only the first request names the subscription")
            _hear(subscription, request, terms)

    async with aclosing(until_heard(hear(), subscription.stream(terms))) as leased:
        async for delivery in leased:
            yield delivery


def _hear(subscription: Subscription, request: types.StreamingPullRequest, terms: Terms) -> None:
    """One request; one that says nothing keeps the connection alive."""
    if seconds := request.stream_ack_deadline_seconds:
        if not 10 <= seconds <= 600:
            raise invalid("stream_ack_deadline_seconds is not between 10 and 600")
        terms.seconds = seconds
    if request.ack_ids:
        subscription.acknowledge(request.ack_ids)
    given, modified = request.modify_deadline_seconds, request.modify_deadline_ack_ids
    if len(given) != len(modified):
        raise invalid("There are not as many modify_deadline_seconds as modify_deadline_ack_ids")
    for ack_id, deadline in zip(modified, given, strict=True):
        subscription.modify_ack_deadline([ack_id], deadline)
