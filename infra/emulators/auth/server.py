"""What every issuer of tokens is here: a server, with a URL under which anybody gets a token."""

from abc import ABC, abstractmethod
from contextlib import AsyncExitStack
from typing import Self

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import request_response

from infra.emulators.http import serving

TOKENS_PATH = "/tokens/"


class TokenServer(ABC):
    """An async context that listens on a free port."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        server = serving(request_response(self._answer), lifespan="off")
        self._origin = await self._stack.enter_async_context(server)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def tokens_url(self) -> str:
        """A user's id after it makes the URL of a token."""
        return f"{self._origin}{TOKENS_PATH}"

    @abstractmethod
    async def _answer(self, request: Request) -> Response:
        """Where every request enters."""
