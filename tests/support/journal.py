"""A journal of remote calls: which came, which ended, in one order over all services."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc


class Journal(grpc.aio.ServerInterceptor):  # type: ignore[misc] # grpc has no types
    """Notes the start and the end of every RPC of the servers it intercepts, and what else it is
    told."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    @property
    def started(self) -> list[str]:
        """The calls in the order they came."""
        return [entry.removeprefix("> ") for entry in self.entries if entry.startswith("> ")]

    def start(self, name: str) -> None:
        self.entries.append(f"> {name}")

    def end(self, name: str) -> None:
        self.entries.append(f"< {name}")

    def before(self, first: str, second: str) -> bool:
        """Whether entry `first` stands before entry `second`."""
        return self.entries.index(first) < self.entries.index(second)

    def clear(self) -> None:
        self.entries.clear()

    async def intercept_service(
        self,
        continuation: Callable[[Any], Awaitable[Any]],
        details: Any,
    ) -> Any:
        handler = await continuation(details)
        name = details.method.rpartition("/")[2]
        if handler is None:
            return None
        if handler.response_streaming:
            return handler._replace(unary_stream=self._stream(name, handler.unary_stream))
        return handler._replace(unary_unary=self._unary(name, handler.unary_unary))

    def _unary(self, name: str, serve: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        async def noted(request: Any, context: Any) -> Any:
            self.start(name)
            try:
                return await serve(request, context)
            finally:
                self.end(name)

        return noted

    def _stream(self, name: str, serve: Callable[..., AsyncIterator[Any]]) -> Callable[..., Any]:
        async def noted(request: Any, context: Any) -> AsyncIterator[Any]:
            self.start(name)
            async for response in serve(request, context):
                yield response
            self.end(name)

        return noted
