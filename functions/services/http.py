"""HTTP to AWS, FCM, Google's metadata server, identity providers and apps' backends, over
connections that stay open."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING

from functions.addresses import Address
from functions.later import load_later

if TYPE_CHECKING:
    from aiohttp.abc import AbstractResolver

    from functions.services.httppool import Pool

_POOL = "functions.services.httppool"
load_later(_POOL)


class NoAnswer(Exception):
    """No whole HTTP answer came; what was asked for may have been done."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The body is as it came, and whoever needs none of it need not look. A header is found by its
    name in small letters."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict, compare=False)


class Http:
    """One pool of connections. It opens with the first request and closes with the event loop."""

    def __init__(
        self,
        timeout_seconds: float,
        *,
        only_status: bool = False,
        may_connect_to: Callable[[Address], bool] | None = None,
        resolver: "AbstractResolver | None" = None,
    ) -> None:
        """The time is that of a whole request, connection and answer included. With `only_status`,
        no body is read. Of each connection that it opens it asks `may_connect_to`, whatever name
        has led to the address."""
        self._timeout_seconds = timeout_seconds
        self._only_status = only_status
        self._may_connect_to = may_connect_to
        self._resolver = resolver
        self._pool: Pool | None = None

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Answer:
        """1 request, to `url` as it is written: what is percent-encoded stays so, and nothing else
        is encoded. A redirect is an answer like any other. Raises NoAnswer.
        """
        pool = self._pool or await self._open()
        return await pool.send(method, url, headers, body)

    async def _open(self) -> "Pool":
        # With it comes aiohttp, whose import is a quarter of a cold start. If it is not there by
        # now, all other requests go on while it is loaded.
        await asyncio.to_thread(import_module, _POOL)
        from functions.services.httppool import Pool

        if self._pool is None:  # others may have waited too
            self._pool = Pool(
                self._timeout_seconds, self._only_status, self._may_connect_to, self._resolver
            )
        return self._pool
