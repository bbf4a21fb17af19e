"""The gRPC endpoint of the embedded Pub/Sub, which clients find through PUBSUB_EMULATOR_HOST."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime
from typing import Any, Self

import grpc
from google.pubsub_v1 import types

from infra.emulators.auth.tokens import Sign, unsigned
from infra.emulators.faults import Broken, Faults
from infra.emulators.pubsub.broker import Broker
from infra.emulators.pubsub.push import ACKS, Pusher
from infra.emulators.pubsub.rules import Refused
from infra.emulators.pubsub.subscription import Delivery, Post
from infra.emulators.unplayed import UnplayedRpcs

# Room above Pub/Sub's own 10 MB, so that a request just over it is answered as Pub/Sub would.
_MAX_GRPC_BYTES = 64_000_000
_OPTIONS = [
    ("grpc.max_receive_message_length", _MAX_GRPC_BYTES),
    ("grpc.max_send_message_length", _MAX_GRPC_BYTES),
    ("grpc.so_reuseport", 0),  # a taken port is an error, not a port shared with a stranger
]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class PubSubServer:
    """Pub/Sub for unmodified clients, on one port: topics, push and pull subscriptions.

    Use it as an async context, or `start` and `stop` it. `second` is how many real seconds a
    second of back-off, ack deadline or waiting Pull lasts: a test that must see a 10 s deadline
    pass sets 0.01. Everything is kept in memory and gone with the server. What is not played
    (ordering, exactly-once, schemas, snapshots) is refused with UNIMPLEMENTED.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        second: float = 1.0,
        now: Callable[[], datetime] = _utc_now,
        interceptors: Sequence[Any] = (),
        faults: Faults | None = None,
        sign: Sign = unsigned,
    ) -> None:
        """`interceptors` (grpc.aio.ServerInterceptor) see every RPC before it is served, `faults`
        every push to the subscription S as the call "delivery.S".

        `sign` makes the tokens that pushes carry where an oidc_token is configured.
        """
        self._host = host
        self._port = port
        self._second = second
        self._now = now
        self._interceptors = interceptors
        self._faults = faults or Faults()
        self._sign = sign
        self._stack = AsyncExitStack()
        self._broker: Broker | None = None
        self._bound: int | None = None

    @property
    def address(self) -> str:
        """Host and port for PUBSUB_EMULATOR_HOST, "127.0.0.1:1234"; only while it runs."""
        if self._bound is None:
            raise RuntimeError("the Pub/Sub server is not running")
        return f"{self._host}:{self._bound}"

    async def idle(self) -> None:
        """Returns once no push subscription has a message outstanding.

        A subscription without a dead-letter topic whose endpoint keeps failing never gets there.
        """
        await self._running().idle()

    def outstanding(self, subscription: str) -> int:
        """How many messages projects/P/subscriptions/S has yet to see acked or dead-lettered."""
        return self._running().outstanding(subscription)

    async def start(self) -> None:
        """Listens. Raises RuntimeError when the port is taken."""
        async with AsyncExitStack() as stack:
            pusher = await stack.enter_async_context(Pusher(self._now, self._sign))
            broker = Broker(_faulty(pusher.post, self._faults), self._now, self._second)
            stack.push_async_callback(broker.close)
            server = grpc.aio.server(options=_OPTIONS, interceptors=self._interceptors)
            unplayed = UnplayedRpcs("The embedded Pub/Sub")
            server.add_generic_rpc_handlers((*_handlers(broker), unplayed))
            # Requests end before the deliveries that they could still add to.
            stack.push_async_callback(server.stop, None)
            bound = server.add_insecure_port(f"{self._host}:{self._port}")
            await server.start()
            self._broker, self._bound = broker, bound
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """Ends every request and delivery; leaves no task and no socket. Twice is no error."""
        self._broker = self._bound = None
        await self._stack.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _running(self) -> Broker:
        if self._broker is None:
            raise RuntimeError("the Pub/Sub server is not running")
        return self._broker


# Posts a delivery: the status that its endpoint answers in so many seconds, None without an answer.
_Send = Callable[[types.Subscription, Delivery, float], Awaitable[int | None]]


def _faulty(post: _Send, faults: Faults) -> Post:
    """`post`, by way of the faults; a delivery that was broken on demand is a nack."""

    async def broken_or_posted(
        config: types.Subscription, delivery: Delivery, deadline: float
    ) -> bool:
        call = f"delivery.{config.name.rpartition('/')[2]}"
        try:
            status = await faults.around(
                call,
                lambda: delivery.message.data.decode(errors="replace"),
                lambda: post(config, delivery, deadline),
            )
        except Broken:
            return False
        return status in ACKS

    return broken_or_posted


def _handlers(broker: Broker) -> tuple[Any, Any]:
    publisher: dict[str, Any] = {
        "CreateTopic": _unary(types.Topic, broker.create_topic),
        "GetTopic": _unary(types.GetTopicRequest, broker.get_topic),
        "ListTopics": _unary(types.ListTopicsRequest, broker.list_topics),
        "DeleteTopic": _unary(types.DeleteTopicRequest, broker.delete_topic),
        "Publish": _unary(types.PublishRequest, broker.publish),
    }
    subscriber: dict[str, Any] = {
        "CreateSubscription": _unary(types.Subscription, broker.create_subscription),
        "GetSubscription": _unary(types.GetSubscriptionRequest, broker.get_subscription),
        "UpdateSubscription": _unary(types.UpdateSubscriptionRequest, broker.update_subscription),
        "ModifyPushConfig": _unary(types.ModifyPushConfigRequest, broker.modify_push_config),
        "ListSubscriptions": _unary(types.ListSubscriptionsRequest, broker.list_subscriptions),
        "DeleteSubscription": _unary(types.DeleteSubscriptionRequest, broker.delete_subscription),
        "Pull": _unary(types.PullRequest, broker.pull),
        "StreamingPull": _duplex(types.StreamingPullRequest, broker.streaming_pull),
        "Acknowledge": _unary(types.AcknowledgeRequest, broker.acknowledge),
        "ModifyAckDeadline": _unary(types.ModifyAckDeadlineRequest, broker.modify_ack_deadline),
    }
    return (
        grpc.method_handlers_generic_handler("google.pubsub.v1.Publisher", publisher),
        grpc.method_handlers_generic_handler("google.pubsub.v1.Subscriber", subscriber),
    )


def _unary(request_type: Any, method: Callable[[Any], Awaitable[Any]]) -> Any:
    async def enter(request: Any, context: Any) -> Any:
        try:
            return await method(request)
        except Refused as refused:
            return await context.abort(refused.code, str(refused))

    return grpc.unary_unary_rpc_method_handler(
        enter, request_deserializer=request_type.deserialize, response_serializer=_serialize
    )


def _duplex(request_type: Any, method: Callable[[Any], AsyncGenerator[Any, None]]) -> Any:
    async def enter(requests: Any, context: Any) -> None:
        try:
            # Closed with the RPC, however it ends: nobody takes messages any more.
            async with aclosing(method(aiter(requests))) as responses:
                async for response in responses:
                    await context.write(response)
        except Refused as refused:
            await context.abort(refused.code, str(refused))

    return grpc.stream_stream_rpc_method_handler(
        enter, request_deserializer=request_type.deserialize, response_serializer=_serialize
    )


def _serialize(response: Any) -> bytes:
    """A google.pubsub_v1 type as bytes; None stands for google.protobuf.Empty, which has none."""
    return b"" if response is None else bytes(type(response).serialize(response))
