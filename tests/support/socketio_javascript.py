"""Unmodified Socket.IO clients in JavaScript: Node's, each in a process of its own, and the one for
browsers, each in a page of its own."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress

from tests.support import node
from tests.support.browser import TELL
from tests.support.socketio_clients import GRACE_SECONDS, Dialling, Listener, Report

_APP = node.PACKAGES.with_name("app.js")
_PHONE = node.PACKAGES.with_name("phone.js")
_BUNDLE = node.MODULES / "node_modules" / "socket.io-client-4" / "dist" / "socket.io.min.js"

Command = Mapping[str, object]  # as app.js takes it


class NodeClient:
    """socket.io-client of one major version, driven by phone.js."""

    def __init__(self, version: str, dialling: Dialling, listener: Listener) -> None:
        self._package = f"socket.io-client-{version}"
        self._dialling = dialling
        self._listener = listener

    async def connect(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            "node",
            str(_PHONE),
            str(node.MODULES / "package.json"),
            self._package,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._reader = asyncio.create_task(self._read())
        for command in _connects(self._dialling):
            await self._order(command)

    async def emit(self, event: str, data: Mapping[str, object], ack: int | None) -> None:
        await self._order(_emit(self._dialling, event, data, ack))

    async def disconnect(self) -> None:
        await self._order(_disconnect(self._dialling))

    async def end(self) -> None:
        stdin = self._stdin()
        stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), GRACE_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reader
        with suppress(ConnectionError):
            await stdin.wait_closed()

    async def _order(self, command: Command) -> None:
        self._stdin().write(json.dumps(command).encode() + b"\n")
        await self._stdin().drain()

    def _stdin(self) -> asyncio.StreamWriter:
        assert self._process.stdin
        return self._process.stdin

    async def _read(self) -> None:
        assert self._process.stdout
        while line := await self._process.stdout.readline():
            self._listener(_report(line.decode(errors="replace")))


class BrowserClient:
    """socket.io-client's own bundle for browsers, in a page of another origin than the server's."""

    def __init__(self, dialling: Dialling, listener: Listener) -> None:
        self._dialling = dialling
        self._listener = listener
        self._shown = AsyncExitStack()

    async def connect(self) -> None:
        browser = self._dialling.browser
        assert browser, "it needs one that runs"
        page = browser.page(_html(), self._tell, self._dialling.page_origin)
        self._page = await self._shown.enter_async_context(page)
        for command in _connects(self._dialling):
            await self._order(command)

    async def emit(self, event: str, data: Mapping[str, object], ack: int | None) -> None:
        await self._order(_emit(self._dialling, event, data, ack))

    async def disconnect(self) -> None:
        await self._order(_disconnect(self._dialling))

    async def end(self) -> None:
        await self._shown.aclose()

    async def _order(self, command: Command) -> None:
        # JSON is a script's own syntax.
        await self._page.run(f"app[{json.dumps(command['do'])}]({json.dumps(command)})")

    def _tell(self, text: str) -> None:
        self._listener(_report(text))


def _html() -> str:
    """A page with the client and the app that is driven."""
    app = f"const app = appWith(io, (report) => {TELL}(JSON.stringify(report)));"
    scripts = (_BUNDLE.read_text(), _APP.read_text(), app)
    return "<!doctype html>" + "".join(f"<script>{script}\n</script>" for script in scripts)


def _connects(dialling: Dialling) -> list[Command]:
    emits = [
        _emit(dialling, event, data, ack) for ack, (event, data) in enumerate(dialling.emits, 1)
    ]
    home = dialling.namespaces[0]
    return [
        {
            "do": "connect",
            "url": f"{dialling.origin}{namespace}",
            "options": _options(dialling),
            "events": dialling.events,
            "emits": emits if namespace == home else [],
        }
        for namespace in dialling.namespaces
    ]


def _emit(dialling: Dialling, event: str, data: Mapping[str, object], ack: int | None) -> Command:
    callback = {} if ack is None else {"ack": ack}
    home = dialling.namespaces[0]
    return {"do": "emit", "namespace": home, "event": event, "data": data, **callback}


def _disconnect(dialling: Dialling) -> Command:
    return {"do": "disconnect", "namespace": dialling.namespaces[0]}


def _options(dialling: Dialling) -> dict[str, object]:
    options: dict[str, object] = {} if dialling.by_default else {"transports": ["websocket"]}
    options |= dialling.node_options
    if dialling.path is not None:
        options["path"] = dialling.path
    if dialling.query:
        options["query"] = dialling.query
    if dialling.auth:
        options["auth"] = dialling.auth
    if dialling.delay_seconds is not None:
        milliseconds = dialling.delay_seconds * 1000
        options |= {"reconnectionDelay": milliseconds, "reconnectionDelayMax": milliseconds}
    return options


def _report(text: str) -> Report:
    try:
        return Report(**json.loads(text))
    except ValueError:  # what Node or the browser itself says, a warning or the trace of a crash
        return Report("printed", detail=text.strip())
