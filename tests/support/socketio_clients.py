"""What all of the unmodified Socket.IO clients are to the tests, and python-socketio's, which runs
in this process; those in JavaScript are in socketio_javascript.py."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

import aiohttp
import socketio
from socketio.exceptions import ConnectionError as NotConnected

from functions.calls.transitions import TRANSITIONS
from functions.dialect.dialect import ERROR_EVENT
from tests.support.browser import ORIGIN, Browser

# All that a client may be told: the events of the transitions, and that a frame was malformed.
EVENTS = (
    *sorted({notice.event for row in TRANSITIONS for notice in row.notices}),
    ERROR_EVENT,
)

GRACE_SECONDS = 5.0


@dataclass(frozen=True)
class Report:
    """What a client told its app; app.js says what there is, for Python's client too."""

    what: str
    namespace: str = "/"
    name: str = ""  # of an event
    ack: int | None = None
    detail: Any = None

    def is_a(self, what: str, namespace: str, name: str, ack: int | None) -> bool:
        return (self.what, self.namespace, self.name, self.ack) == (what, namespace, name, ack)


Listener = Callable[[Report], None]


@dataclass(frozen=True, kw_only=True)
class Dialling:
    """What an app tells its client, and where it runs; for all else the client does as it does."""

    origin: str  # "http://127.0.0.1:8080"
    path: str | None
    query: Mapping[str, str]
    auth: Mapping[str, str]
    namespaces: Sequence[str]  # the first is where it emits
    events: Sequence[str] = EVENTS  # that it listens to
    # Each with a callback, before it is connected; their acks are numbered from 1.
    emits: Sequence[tuple[str, Mapping[str, object]]] = ()
    delay_seconds: float | None  # before it tries again
    by_default: bool = False  # polls first, and upgrades; else it is by WebSocket alone
    keeps_trying: bool = False  # the first time, too
    node_options: Mapping[str, object]
    browser: Browser | None = None
    page_origin: str = ORIGIN  # of the page in it


class Client(Protocol):
    async def connect(self) -> None:
        """Starts to connect, and does not wait for it."""

    async def emit(self, event: str, data: Mapping[str, object], ack: int | None) -> None:
        """With `ack`, there is a callback, and a report "ack" when it is called."""

    async def disconnect(self) -> None: ...

    async def end(self) -> None:
        """Leaves nothing running, whatever state the client is in."""


class PythonClient:
    """python-socketio's AsyncClient."""

    def __init__(self, dialling: Dialling, listener: Listener) -> None:
        self._dialling = dialling
        self._listener = listener

    async def connect(self) -> None:
        delay = self._dialling.delay_seconds
        delays = {
            "reconnection_delay": delay,
            "reconnection_delay_max": delay,
            "randomization_factor": 0,  # seconds here, and a fraction of the delay in Node's
        }
        # A session of ours can be closed whatever becomes of the client.
        self._http = aiohttp.ClientSession()
        self._client = socketio.AsyncClient(
            handle_sigint=False, http_session=self._http, **({} if delay is None else delays)
        )
        for namespace in self._dialling.namespaces:
            self._listen(namespace)
        self._connecting = asyncio.create_task(self._connect())

    async def emit(self, event: str, data: Mapping[str, object], ack: int | None) -> None:
        def called(*detail: object) -> None:
            self._listener(Report("ack", home, ack=ack, detail=list(detail)))

        home = self._dialling.namespaces[0]
        callback = None if ack is None else called
        await self._client.emit(event, dict(data), namespace=home, callback=callback)

    async def disconnect(self) -> None:
        # It closes the socket in the same tick, and forgets what it has not written by then.
        await self._client.eio.queue.join()
        await self._client.disconnect()

    async def end(self) -> None:
        self._connecting.cancel()
        await asyncio.gather(self._connecting, return_exceptions=True)
        # Its task that reconnects may have died of an error, which this would raise.
        ending = asyncio.wait_for(self._client.shutdown(), GRACE_SECONDS)
        await asyncio.gather(ending, return_exceptions=True)
        # An attempt to reconnect may have succeeded meanwhile, and a refused client stays open.
        await self._client.eio.disconnect()
        await self._http.close()

    async def _connect(self) -> None:
        dialling = self._dialling
        assert not dialling.emits, "this client keeps nothing until it is connected"
        query = f"?{urlencode(dialling.query)}" if dialling.query else ""
        path = {} if dialling.path is None else {"socketio_path": dialling.path}
        several = len(dialling.namespaces) > 1
        # That one namespace is refused must not end the others, as it does when one waits for all.
        # And who waits for a client that tries again meanwhile keeps it from that for good.
        waits = not (several or dialling.keeps_trying)
        waiting = {"wait_timeout": GRACE_SECONDS} if waits else {"wait": False}
        try:
            await self._client.connect(
                dialling.origin + query,
                auth=dict(dialling.auth),
                transports=None if dialling.by_default else ["websocket"],
                namespaces=list(dialling.namespaces),
                retry=dialling.keeps_trying,
                **path,
                **waiting,
            )
        # TypeError is what it makes of a connection that closes before its open packet.
        except (NotConnected, TypeError) as error:
            self._listener(Report("gave up", detail=repr(error)))

    def _listen(self, namespace: str) -> None:
        def on(event: str, report: Callable[..., Report]) -> None:
            def handler(*arguments: Any) -> None:
                self._listener(report(*arguments))

            self._client.on(event, handler, namespace=namespace)

        def failed(detail: Any = None) -> Report:
            # What the server has said came over an open connection.
            what = "refused" if self._client.eio.state == "connected" else "unreachable"
            message = detail.get("message") if isinstance(detail, dict) else detail
            return Report(what, namespace, detail=message)

        def event(name: str) -> Callable[..., Report]:
            return lambda *detail: Report("event", namespace, name, detail=list(detail))

        def connected() -> Report:
            if self._dialling.by_default and namespace == self._dialling.namespaces[0]:
                self._tell_transport(namespace)
            return Report("connected", namespace)

        on("connect", connected)
        on("connect_error", failed)
        on("disconnect", lambda reason: Report("disconnected", namespace, detail=reason))
        for name in self._dialling.events:
            on(name, event(name))

    def _tell_transport(self, namespace: str) -> None:
        """It tries to upgrade before it is connected, and once only."""
        transport = self._client.transport()
        what = "upgraded" if transport == "websocket" else "not upgraded"
        self._listener(Report(what, namespace, detail=transport))
