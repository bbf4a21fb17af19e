"""Who ends calls without a socket: an app by requests of its own, and the app's backend."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx

from infra.client.phone import COLD_START_SECONDS


class Unreachable(OSError):
    """There was no answer, or one that is none of ours."""


class App:
    """An app whose socket is down."""

    def __init__(self, http: httpx.AsyncClient, token: str) -> None:
        self._http = http
        self._headers = {"Authorization": f"Bearer {token}"}

    async def emit(self, event: str, **data: object) -> dict[str, Any]:
        """Sends one signal; gives the verdict. Raises TimeoutError and Unreachable."""
        content = {"event": event, "data": data}
        return await _verdict(self._http, "POST", "/v1/signals", self._headers, content)


class Backend:
    """An app's backend."""

    def __init__(self, http: httpx.AsyncClient, key: str) -> None:
        self._http = http
        self._headers = {"Authorization": f"Bearer {key}"}

    async def ring(self, call: str, caller: str, receiver: str, **more: object) -> dict[str, Any]:
        """Makes a call ring; gives the verdict. Raises TimeoutError and Unreachable."""
        content = {"callerId": caller, "receiverId": receiver, **more}
        return await _verdict(self._http, "PUT", _path(call), self._headers, content)

    async def register(self, user: str, token: str, platform: str) -> dict[str, Any]:
        """Has a phone of a user's be pushed; gives the verdict. Raises TimeoutError and
        Unreachable."""
        path = f"/v1/users/{quote(user, safe='')}/devices"
        content = {"token": token, "platform": platform}
        return await _verdict(self._http, "PUT", path, self._headers, content)

    def on_behalf_of(self, user: str) -> "OnBehalf":
        return OnBehalf(self._http, self._headers, user)


class OnBehalf:
    """An app's backend, on behalf of one of its users."""

    def __init__(self, http: httpx.AsyncClient, headers: Mapping[str, str], user: str) -> None:
        self._http = http
        self._headers = headers
        self._user = user

    async def emit(self, event: str, **data: object) -> dict[str, Any]:
        """Sends one signal; gives the verdict. Raises TimeoutError and Unreachable."""
        path = f"{_path(str(data.pop('callId')))}/{event.removeprefix('call:')}"
        content = {**data, "userId": self._user}
        return await _verdict(self._http, "POST", path, self._headers, content)


def _path(call: str) -> str:
    return f"/v1/calls/{quote(call, safe='')}"


async def _verdict(
    http: httpx.AsyncClient,
    method: str,
    path: str,
    headers: Mapping[str, str],
    content: Mapping[str, object],
) -> dict[str, Any]:
    try:
        answer = await http.request(method, path, headers=headers, json=content)
        verdict: dict[str, Any] = answer.json()
    except httpx.TimeoutException as error:
        raise TimeoutError(f"{path} was not answered in time") from error
    except (httpx.HTTPError, ValueError) as error:
        raise Unreachable(f"{path}: {error or type(error).__name__}") from error
    return verdict


@asynccontextmanager
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Requests to the function `api` at `url`; of proxies in the environment none is asked."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=COLD_START_SECONDS) as http:
        yield http
