"""The HTTPS interface on services in memory, and requests to it as apps and backends make them."""

from typing import Any
from urllib.parse import quote

import httpx
from starlette.applications import Starlette
from starlette.routing import Route

from functions.api import handler
from functions.calls.call import Status, UnreadableCall
from functions.inbound.http import Handler
from functions.settings import ApiSettings
from tests.memory.others import TOKEN_PREFIX
from tests.memory.services import Services
from tests.support.makers import CALL, CALLER, RECEIVER, now
from tests.support.processes import settings_of

CANCEL = {"event": "call:cancel", "data": {"callId": CALL, "reason": "because"}}
ORIGIN = "https://app.example"
KEY, PREVIOUS_KEY = "local", "another"


class Client:
    """An app's requests, each with the token of its user unless it says otherwise."""

    def __init__(self, function: Handler, services: Services) -> None:
        methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]
        app = Starlette(routes=[Route("/{path:path}", function, methods=methods)])
        transport = httpx.ASGITransport(app=app)
        self._http = httpx.AsyncClient(transport=transport, base_url="http://function")
        self.services = services

    async def ask(
        self, method: str, path: str, user: str | None = CALLER, **more: Any
    ) -> httpx.Response:
        self.services.journal.clear()
        shown = {"Authorization": f"Bearer {TOKEN_PREFIX}{user}"} if user else {}
        headers = {**shown, **more.pop("headers", {})}
        return await self._http.request(method, path, headers=headers, **more)

    async def signal(self, content: object = CANCEL, user: str | None = CALLER) -> httpx.Response:
        return await self.ask("POST", "/v1/signals", user, json=content)

    async def on_behalf(
        self, step: str = "cancel", call: str = CALL, key: str | None = KEY, **content: object
    ) -> httpx.Response:
        """A request of the app's backend, for the caller unless it says otherwise."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        content = {"userId": CALLER, **content}
        path = f"/v1/calls/{quote(call, safe='')}/{step}"
        return await self.ask("POST", path, None, headers=headers, json=content)

    async def put(
        self, call: str = CALL, key: str | None = KEY, **content: object
    ) -> httpx.Response:
        """A ring of the app's backend, of the caller to the receiver unless it says otherwise."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        content = {"callerId": CALLER, "receiverId": RECEIVER, **content}
        path = f"/v1/calls/{quote(call, safe='')}"
        return await self.ask("PUT", path, None, headers=headers, json=content)

    async def manage(
        self, method: str, user: str, rest: str = "", key: str | None = KEY, **more: Any
    ) -> httpx.Response:
        """A request of the app's backend, about a user."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        path = f"/v1/users/{quote(user, safe='')}{rest}"
        return await self.ask(method, path, None, headers=headers, **more)

    @property
    def costs(self) -> list[str]:
        return self.services.journal.started


def function_of(services: Services, **more: str) -> Handler:
    settings = settings_of(ApiSettings, CORS_ORIGINS=ORIGIN, REQUESTS_AT_ONCE="4", **more)
    return handler(
        settings,
        services.store,
        services.sockets,
        services.publisher,
        services.identity,
        now,
    )


async def status_of(services: Services) -> Status | None:
    call = await services.world.call()
    return call.status if call else None


def make_unreadable(services: Services) -> None:
    users = frozenset({CALLER, RECEIVER})
    services.database.calls.pop(CALL, None)
    services.database.unreadable_calls[CALL] = UnreadableCall(CALL, users)
