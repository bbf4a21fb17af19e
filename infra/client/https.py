"""Who ends calls without a socket: an app by requests of its own, and the app's backend."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx


class App:
    """An app whose socket is down."""

    def __init__(self, http: httpx.AsyncClient, token: str) -> None:
        self._http = http
        self._headers = {"Authorization": f"Bearer {token}"}

    async def emit(self, event: str, **data: object) -> dict[str, Any]:
        """Sends one signal; gives the verdict that answers it."""
        content = {"event": event, "data": data}
        answer = await self._http.post("/v1/signals", headers=self._headers, json=content)
        verdict: dict[str, Any] = answer.json()
        return verdict


class Backend:
    """An app's backend, on behalf of one of its users."""

    def __init__(self, http: httpx.AsyncClient, key: str, user: str) -> None:
        self._http = http
        self._headers = {"Authorization": f"Bearer {key}"}
        self._user = user

    async def emit(self, event: str, **data: object) -> dict[str, Any]:
        """Sends one signal; gives the verdict that answers it."""
        call = quote(str(data.pop("callId")), safe="")
        path = f"/v1/calls/{call}/{event.removeprefix('call:')}"
        content = {**data, "userId": self._user}
        answer = await self._http.post(path, headers=self._headers, json=content)
        verdict: dict[str, Any] = answer.json()
        return verdict


@asynccontextmanager
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Requests to the function `api` at `url`; of proxies in the environment none is asked."""
    async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
        yield http
