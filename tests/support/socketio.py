"""Apps with unmodified Socket.IO clients, all with one interface."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from infra.local.stack import Stack
from tests.support.browser import ORIGIN, Browser
from tests.support.pace import PATIENCE_SECONDS
from tests.support.socketio_clients import (
    EVENTS,
    Client,
    Dialling,
    Listener,
    PythonClient,
    Report,
)
from tests.support.socketio_javascript import BrowserClient, NodeClient

NODE_KINDS = ("js-2", "js-3", "js-4")
KINDS = (*NODE_KINDS, "python")
BROWSER = "browser"  # the client of version 4 in a page, which needs a browser that runs


class SocketIoApp:
    """A phone's app with its client. What has been waited for once is not waited for again."""

    def __init__(self, kind: str, dialling: Dialling) -> None:
        self.kind = kind
        self._home = dialling.namespaces[0]
        self.reports: list[Report] = []
        self._unseen: list[Report] = []
        self._came = asyncio.Event()
        self._buffered = range(1, len(dialling.emits) + 1)
        self._acks = itertools.count(len(dialling.emits) + 1)
        self._client = _client(kind, dialling, self._heard)

    async def connected(self, namespace: str | None = None) -> None:
        """Waits until the server has let the client into `namespace`, the first of its own."""
        await self._next("connected", namespace=namespace)

    async def refused(self, namespace: str | None = None) -> str:
        """Waits until the server keeps the client out of `namespace`; gives the message."""
        return str((await self._next("refused", namespace=namespace)).detail)

    async def disconnected(self) -> str:
        """Waits until the client says that its connection is gone; gives its reason."""
        return str((await self._next("disconnected")).detail)

    async def unreachable(self) -> str:
        """Waits until the client has not been able to open a connection; gives the message."""
        return str((await self._next("unreachable")).detail)

    async def upgraded(self) -> None:
        """Waits until a client with default options, which begins by polling, does so no more."""
        assert (await self._next("upgraded")).detail == "websocket"

    async def not_upgraded(self) -> None:
        """Waits until a client with default options has tried to upgrade, and polls on."""
        await self._next("not upgraded")

    async def emit(self, event: str, **data: object) -> dict[str, Any]:
        """Emits with an ack callback; gives the verdict that it is called with."""
        return await self._verdict(await self.begin_emit(event, **data))

    async def begin_emit(self, event: str, **data: object) -> int:
        """Emits with an ack callback, and waits for nothing; gives the number of the ack."""
        ack = next(self._acks)
        await self._client.emit(event, data, ack)
        return ack

    async def verdicts(self) -> list[dict[str, Any]]:
        """The verdicts of what the client was to emit before it was connected."""
        return [await self._verdict(ack) for ack in self._buffered]

    async def emit_without_ack(self, event: str, **data: object) -> None:
        await self._client.emit(event, data, None)

    async def told(self, event: str) -> dict[str, Any]:
        """Waits for `event`; gives its data."""
        (data,) = (await self._next("event", name=event)).detail
        return dict(data)

    async def emit_and_disconnect(self, event: str, **data: object) -> None:
        """Emits without a callback and disconnects right after, so that nobody hears a verdict."""
        await self._client.emit(event, data, None)
        await self._client.disconnect()

    async def disconnect(self) -> None:
        """Closes the connection as an app does that is closed by hand."""
        await self._client.disconnect()

    def untold(self) -> int:
        """How many events have come that nobody has waited for yet."""
        return sum(report.what == "event" for report in self._unseen)

    def count(self, what: str) -> int:
        """How many such reports there have been in all."""
        return sum(report.what == what for report in self.reports)

    async def more_than(self, known: int) -> None:
        """Waits until there are more reports than these."""
        while len(self.reports) <= known:
            self._came.clear()
            await self._came.wait()

    def history(self) -> str:
        """All reports, one on each line."""
        return "\n  ".join(map(str, self.reports)) or "nothing"

    async def start(self) -> None:
        await self._client.connect()

    async def end(self) -> None:
        await self._client.end()

    async def _verdict(self, ack: int) -> dict[str, Any]:
        (verdict,) = (await self._next("ack", ack=ack)).detail
        return dict(verdict)

    async def _next(
        self, what: str, *, namespace: str | None = None, name: str = "", ack: int | None = None
    ) -> Report:
        namespace = namespace or self._home
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    for report in self._unseen:
                        if report.is_a(what, namespace, name, ack):
                            self._unseen.remove(report)
                            return report
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError as error:
            raise AssertionError(
                f"{self.kind} was not {name or what} in {PATIENCE_SECONDS:.0f} s; "
                f"what came:\n  {self.history()}"
            ) from error

    def _heard(self, report: Report) -> None:
        self.reports.append(report)
        self._unseen.append(report)
        self._came.set()


def _client(kind: str, dialling: Dialling, listener: Listener) -> Client:
    if kind == BROWSER:
        return BrowserClient(dialling, listener)
    if kind == "python":
        return PythonClient(dialling, listener)
    return NodeClient(kind.removeprefix("js-"), dialling, listener)


@asynccontextmanager
async def socketio_client(
    kind: str,
    url: str,
    *,
    token: str | None = None,
    user: str | None = None,
    ring: str | None = None,
    in_query: bool = False,
    path: str | None = None,
    namespaces: Sequence[str] = ("/",),
    events: Sequence[str] = EVENTS,
    emits: Sequence[tuple[str, Mapping[str, object]]] = (),
    delay_seconds: float | None = None,
    by_default: bool = False,
    keeps_trying: bool = False,
    node_options: Mapping[str, object] | None = None,
    browser: Browser | None = None,
    page_origin: str = ORIGIN,
) -> AsyncIterator[SocketIoApp]:
    """An app with a client of `kind` that connects to the server of `url` ("ws://host:port/…").

    `token`, `user` and `ring`, a ring token, go into the CONNECT packet, or into the query: there
    always for version 2, which knows no `auth`. `path` is the client's own unless given, and so is
    `delay_seconds`, before it tries again. What it `emits`, it is told to before it is connected,
    with callbacks. `by_default` it is left to choose its transports: it polls first, and upgrades.
    One that `keeps_trying` does so the first time, too, as those of Node always do.
    Node's clients must have been installed (tests.support.node). That of a page needs a `browser`.
    """
    shown = {"token": token, "userId": user, "ring": ring}
    said = {name: value for name, value in shown.items() if value}
    goes_into_query = in_query or kind == "js-2"
    app = SocketIoApp(
        kind,
        Dialling(
            origin=f"http://{urlsplit(url).netloc}",
            path=path,
            query=said if goes_into_query else {},
            auth={} if goes_into_query else said,
            namespaces=namespaces,
            events=events,
            emits=emits,
            delay_seconds=delay_seconds,
            by_default=by_default,
            keeps_trying=keeps_trying,
            node_options=node_options or {},
            browser=browser,
            page_origin=page_origin,
        ),
    )
    await app.start()
    try:
        yield app
    finally:
        await app.end()


def signed_in(
    kind: str, stack: Stack, user: str, **how: Any
) -> AbstractAsyncContextManager[SocketIoApp]:
    """An app of `user` with a good token; `how` is as of `socketio_client`."""
    token = stack.token(user)
    return socketio_client(kind, stack.websocket, token=token, user=user, **how)


@dataclass(frozen=True)
class ByDefault:
    """Apps with a client of `kind` that is left to choose its transports: it begins by polling."""

    kind: str
    browser: Browser | None = None  # that which the kind "browser" needs

    def client(self, url: str, **how: Any) -> AbstractAsyncContextManager[SocketIoApp]:
        """An app at the server of `url`; `how` is as of `socketio_client`."""
        return socketio_client(self.kind, url, by_default=True, browser=self.browser, **how)

    def signed_in(
        self, stack: Stack, user: str, *, way: str | None = None, **how: Any
    ) -> AbstractAsyncContextManager[SocketIoApp]:
        """An app of `user` with a good token, at the stack or at the URL of a `way` to it."""
        return self.client(way or stack.socketio, token=stack.token(user), user=user, **how)
