"""Calls of Google's gRPC services: raw protobuf on a channel, limited in time and tried again.

The clients that are generated for the services do the same with proto-plus's messages around
protobuf's own, and an interceptor, which together take as much work as the call itself.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import grpc
from google.api_core import exceptions
from google.api_core.gapic_v1.client_info import ClientInfo
from google.api_core.retry import AsyncRetry, if_exception_type

# Protobuf's own classes are made at run time: a type checker knows nothing of their fields.
Message = Any
Headers = Sequence[tuple[str, str]]

# What all channels are opened with. A call on a connection that is gone without a word ends while
# there is time for another attempt, on a new one. And a service that is back is found soon: gRPC by
# itself would look for it every two minutes at last, and have all calls fail until then.
OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 1_500),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)

# The libraries' own limits are 60 to 300 s; API Gateway waits for 29 s at most.
_ATTEMPT_SECONDS = 2.0
_ATTEMPTS = AsyncRetry(
    predicate=if_exception_type(exceptions.ServiceUnavailable, exceptions.InternalServerError),
    initial=0.05,
    maximum=0.5,
    timeout=4.0,
)


def unary(
    channel: grpc.aio.Channel, method: str, reply: Message, headers: Headers
) -> Callable[[Message], Awaitable[Message]]:
    """The method that is named in full, as `/google.pubsub.v1.Publisher/Publish`.

    It takes a request and gives a message of the class `reply`. It raises GoogleAPICallError, or
    RetryError when there is no time for another attempt. A request whose reply was lost is sent
    again: what it was to do may have been done by the first.
    """
    call = channel.unary_unary(
        method, request_serializer=_serialized, response_deserializer=reply.FromString
    )

    @_ATTEMPTS
    async def called(request: Message) -> Message:
        with _errors():
            return await call(request, timeout=_ATTEMPT_SECONDS, metadata=headers)

    return called


def streamed(
    channel: grpc.aio.Channel, method: str, reply: Message, headers: Headers
) -> Callable[[Message], Awaitable[list[Message]]]:
    """The same of a method that replies with many messages: it gives them when all are there.

    It is for what only reads: a stream that breaks is asked for again from its beginning.
    """
    call = channel.unary_stream(
        method, request_serializer=_serialized, response_deserializer=reply.FromString
    )

    @_ATTEMPTS
    async def called(request: Message) -> list[Message]:
        with _errors():
            replies = call(request, timeout=_ATTEMPT_SECONDS, metadata=headers)
            return [each async for each in replies]

    return called


def headers(**routed_by: str) -> Headers:
    """What goes with each call: who calls, and the field of the request that it is routed by."""
    caller = ClientInfo(user_agent="unring").to_grpc_metadata()  # type: ignore[no-untyped-call]  # it has no types
    routing = ("x-goog-request-params", urlencode(routed_by, safe="/"))
    return (caller, routing)


def _serialized(request: Message) -> bytes:
    serialized: bytes = request.SerializeToString()
    return serialized


@contextmanager
def _errors() -> Iterator[None]:
    """Makes of gRPC's error the one that the libraries have for its code."""
    try:
        yield
    except grpc.RpcError as error:
        raise exceptions.from_grpc_error(error) from error  # type: ignore[no-untyped-call]  # as above
