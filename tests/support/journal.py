"""A journal of remote calls: which came, which ended, in one order over all services."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc


class Journal(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Notes the start and the end of every RPC of the servers it intercepts, and what else it is
    told; `hold` keeps an RPC from being served until another has started."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self._holds: dict[str, str] = {}
        self._lost: dict[str, int] = {}
        self._failures: dict[str, list[grpc.StatusCode]] = {}
        self._starts: dict[str, asyncio.Event] = {}

    def hold(self, name: str, until: str) -> None:
        self._holds[name] = until

    def fail(self, name: str, *codes: grpc.StatusCode) -> None:
        """The next such RPCs are not served, but answered with these codes."""
        self._failures.setdefault(name, []).extend(codes)

    def lose_reply(self, name: str) -> None:
        """The next such RPC is served, but its client never learns of it."""
        self._lost[name] = self._lost.get(name, 0) + 1

    @property
    def started(self) -> list[str]:
        """The calls in the order they came."""
        return [entry.removeprefix("> ") for entry in self.entries if entry.startswith("> ")]

    def start(self, name: str) -> None:
        self.entries.append(f"> {name}")
        self._started(name).set()

    def end(self, name: str) -> None:
        self.entries.append(f"< {name}")

    def before(self, first: str, second: str) -> bool:
        """Whether entry `first` stands before entry `second`."""
        return self.entries.index(first) < self.entries.index(second)

    def clear(self) -> None:
        self.entries.clear()
        self._starts.clear()

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
            await self._enter(name, context)
            try:
                response = await serve(request, context)
            finally:
                self.end(name)
            if self._lost.get(name):
                self._lost[name] -= 1
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the reply is lost")
            return response

        return noted

    def _stream(self, name: str, serve: Callable[..., AsyncIterator[Any]]) -> Callable[..., Any]:
        async def noted(request: Any, context: Any) -> AsyncIterator[Any]:
            await self._enter(name, context)
            async for response in serve(request, context):
                yield response
            self.end(name)

        return noted

    async def _enter(self, name: str, context: Any) -> None:
        self.start(name)
        if codes := self._failures.get(name):
            await context.abort(codes.pop(0), "as told")
        if until := self._holds.get(name):
            await self._started(until).wait()

    def _started(self, name: str) -> asyncio.Event:
        return self._starts.setdefault(name, asyncio.Event())
