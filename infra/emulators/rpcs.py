"""Something done around every RPC of a gRPC server, whether it streams its responses or not."""

from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc


@dataclass(frozen=True, slots=True)
class Rpc:
    """A call of `method`, "Commit"; `serve` gives its response or, of a stream, a list of all."""

    method: str
    request: Any
    context: Any
    serve: Callable[[], Awaitable[Any]]


class AroundRpcs(grpc.aio.ServerInterceptor):  # type: ignore[misc] # grpc has no types
    """Has `around` serve each RPC. Those to which the client streams are left alone."""

    @abstractmethod
    async def around(self, rpc: Rpc) -> Any:
        """What `rpc.serve` gives."""

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: Any
    ) -> Any:
        handler = await continuation(details)
        if handler is None or handler.request_streaming:
            return handler
        method = details.method.rpartition("/")[2]
        if handler.response_streaming:
            return handler._replace(unary_stream=self._stream(method, handler.unary_stream))
        return handler._replace(unary_unary=self._unary(method, handler.unary_unary))

    def _unary(self, method: str, serve: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        async def unary(request: Any, context: Any) -> Any:
            rpc = Rpc(method, request, context, lambda: serve(request, context))
            return await self.around(rpc)

        return unary

    def _stream(self, method: str, serve: Callable[..., AsyncIterator[Any]]) -> Callable[..., Any]:
        async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
            async def all_of_it() -> list[Any]:
                return [response async for response in serve(request, context)]

            for response in await self.around(Rpc(method, request, context, all_of_it)):
                yield response

        return stream
