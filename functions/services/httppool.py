"""A pool of HTTP connections, on aiohttp."""

import errno
import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from ipaddress import ip_address
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from functions.addresses import Address
from functions.services.http import Answer, NoAnswer

# aiohttp by itself closes a connection that is idle for 15 s, so most posts would need a handshake.
_KEPT_SECONDS = 60.0
_LARGEST = 1024 * 1024  # bytes of an answer: what is larger is not what was asked for


class Pool:
    """The connections of one event loop: they open with the first request and close with it."""

    def __init__(
        self,
        timeout_seconds: float,
        only_status: bool,
        may_connect_to: Callable[[Address], bool] | None,
        resolver: AbstractResolver | None,
    ) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._only_status = only_status
        self._may_connect_to = may_connect_to
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None
        self._life: AsyncGenerator[aiohttp.ClientSession] | None = None

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """1 request. Raises NoAnswer."""
        session = self._session or await self._open()
        try:
            async with session.request(
                method,
                URL(url, encoded=True),
                headers=headers,
                data=body or None,
                allow_redirects=False,
            ) as response:
                if self._only_status:
                    return Answer(response.status, b"", response.headers)
                # To the end, or the connection could not be used for another request.
                return Answer(response.status, await _body(response), response.headers)
        # A TimeoutError is an OSError, and a URL that makes no sense is a ValueError.
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NoAnswer(f"{type(error).__name__}: {error}") from error

    async def _open(self) -> aiohttp.ClientSession:
        """Not before the first request: a session belongs to the event loop, and there is none yet
        when a function is built."""
        connector = aiohttp.TCPConnector(
            limit=0,
            keepalive_timeout=_KEPT_SECONDS,
            resolver=self._resolver,
            socket_factory=_sockets(self._may_connect_to) if self._may_connect_to else None,
        )
        self._life = _session(connector, self._timeout)
        self._session = await anext(self._life)
        return self._session


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """Raises NoAnswer for one that is too large."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _LARGEST:
            raise NoAnswer(f"the answer is larger than {_LARGEST} bytes")
    return bytes(body)


def _sockets(may_connect_to: Callable[[Address], bool]) -> Callable[..., socket.socket]:
    def opened(info: tuple[Any, ...]) -> socket.socket:
        """For an address as getaddrinfo gives it. Raises OSError."""
        family, kind, protocol, _, (host, *_) = info
        if not may_connect_to(ip_address(host)):
            raise PermissionError(errno.EACCES, f"nothing is sent to {host}")
        return socket.socket(family, kind, protocol)

    return opened


async def _session(
    connector: aiohttp.TCPConnector, limit: aiohttp.ClientTimeout
) -> AsyncGenerator[aiohttp.ClientSession]:
    """Yields one session, and closes it when the generator is closed.

    Nobody tells a function that it ends. But an event loop that ends closes the generators that it
    has begun, and it closes one that nobody holds any more.
    """
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=limit,
        cookie_jar=aiohttp.DummyCookieJar(),
        # Nobody has asked for a compressed answer, so whatever says that it is one stays as it is.
        auto_decompress=False,
        skip_auto_headers=["Accept-Encoding"],
    ) as session:
        yield session
