"""Who ends calls without a socket: an app by requests of its own, and the app's backend."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx

from infra.client.phone import COLD_START_SECONDS


class App:
    """An app whose socket is down."""

    def __init__(self, http: httpx.AsyncClient, token: str) -> None:
        self._http = http
        self._headers = {"Authorization": f"Bearer {token}"}

    async def emit(self, event: str, **data: object) -> dict[str, Any]:
        """Sends one signal; gives the verdict that answers it. Raises TimeoutError."""
        content = {"event": event, "data": data}
        return await _verdict(self._http, "/v1/signals", self._headers, content)


class Backend:
    """An app's backend, on behalf of one of its users."""

    def __init__(self, http: httpx.AsyncClient, key: str, user: str) -> None:
        self._http = http
        self._headers = {"Authorization": f"Bearer {key}"}
        self._user = user

    async def emit(self, event: str, **data: object) -> dict[str, Any]:
        """Sends one signal; gives the verdict that answers it. Raises TimeoutError."""
        call = quote(str(data.pop("callId")), safe="")
        path = f"/v1/calls/{call}/{event.removeprefix('call:')}"
        content = {**data, "userId": self._user}
        return await _verdict(self._http, path, self._headers, content)


async def _verdict(
    http: httpx.AsyncClient, path: str, headers: Mapping[str, str], content: Mapping[str, object]
) -> dict[str, Any]:
    try:
        answer = await http.post(path, headers=headers, json=content)
    except httpx.TimeoutException as error:
        raise TimeoutError(f"{path} was not answered in time") from error
    verdict: dict[str, Any] = answer.json()
    return verdict


@asynccontextmanager
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Requests to the function `api` at `url`; of proxies in the environment none is asked."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=COLD_START_SECONDS) as http:
        yield http
