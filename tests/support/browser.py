"""Debian's Chromium without a screen: one process, in which each page is alone with its origin."""

import asyncio
import base64
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from infra.emulators.processes import child
from tests.support.devtools import DevTools, Parameters, devtools
from tests.support.pace import PATIENCE_SECONDS

ORIGIN = "http://app.example"  # of the pages, which no server has: the browser is handed them

_OPTIONS = (
    "--headless",
    "--no-sandbox",  # root may not have one
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",  # all that the pages ask for is on this machine
    # A page of the Internet may ask nothing of the machine it is shown on, unless the user allows
    # it. Of all that plays the Internet here, only the servers have addresses of this machine.
    "--disable-features=LocalNetworkAccessChecks",
    "--remote-debugging-port=0",
)
_PORT_FILE = "DevToolsActivePort"  # in the folder of its profile: the port, and a path

# What a page calls with a text, which its listener gets.
TELL = "tell"


class Tab:
    """A page with cookies and connections of its own, whatever it shows."""

    def __init__(self, tools: DevTools, session: str, told: Callable[[str], None]) -> None:
        """`told` is called with what the page tells, and with what the browser says of it to its
        developers."""
        self._tools = tools
        self._session = session
        self._told = told
        self._loaded = asyncio.Event()

    async def show(self, url: str) -> None:
        """Loads what is at `url`."""
        self._tools.listen(self._session, self._hear)
        for domain in ("Page", "Runtime", "Log"):
            await self._call(f"{domain}.enable")
        await self._call("Runtime.addBinding", name=TELL)
        self._loaded.clear()
        await self._call("Page.navigate", url=url)
        await asyncio.wait_for(self._loaded.wait(), PATIENCE_SECONDS)

    async def run(self, script: str) -> None:
        """Runs a script in the page, and does not wait for what it promises."""
        await self._call("Runtime.evaluate", expression=script)

    async def close(self) -> None:
        self._tools.forget(self._session)

    def _hear(self, event: str, about: Parameters) -> None:
        match event:
            case "Page.loadEventFired":
                self._loaded.set()
            case "Runtime.bindingCalled":
                self._told(about["payload"])
            case "Runtime.exceptionThrown":
                details = about["exceptionDetails"]
                self._told(details.get("exception", {}).get("description", details["text"]))
            case "Log.entryAdded":
                self._told(about["entry"]["text"])

    async def _call(self, method: str, **parameters: object) -> Any:
        return await self._tools.call(method, self._session, **parameters)


class Page(Tab):
    """A page that no server has: the browser is handed its HTML, whatever it asks for."""

    def __init__(
        self, tools: DevTools, session: str, told: Callable[[str], None], html: str
    ) -> None:
        super().__init__(tools, session, told)
        self._html = base64.b64encode(html.encode()).decode()
        self._serving: set[asyncio.Task[Any]] = set()

    async def show(self, url: str) -> None:
        """Loads it as the origin `url` would serve it."""
        await self._call("Fetch.enable", patterns=[{"urlPattern": f"{url}/*"}])
        await super().show(f"{url}/")

    async def close(self) -> None:
        await asyncio.gather(*self._serving, return_exceptions=True)
        await super().close()

    def _hear(self, event: str, about: Parameters) -> None:
        if event == "Fetch.requestPaused":
            serving = asyncio.create_task(self._serve(about["requestId"]))
            self._serving.add(serving)
            serving.add_done_callback(self._serving.discard)
        else:
            super()._hear(event, about)

    async def _serve(self, request: str) -> None:
        """Answers a request for the page, or for its icon."""
        headers = [{"name": "Content-Type", "value": "text/html; charset=utf-8"}]
        await self._call(
            "Fetch.fulfillRequest",
            requestId=request,
            responseCode=200,
            responseHeaders=headers,
            body=self._html,
        )


AnyTab = TypeVar("AnyTab", bound=Tab)


class Browser:
    """A browser that runs."""

    def __init__(self, tools: DevTools) -> None:
        self._tools = tools

    @asynccontextmanager
    async def page(
        self, html: str, told: Callable[[str], None], origin: str = ORIGIN
    ) -> AsyncIterator[Page]:
        """Shows a page until the block ends, which shares nothing with others, as another user's.

        `told` is called with what the page tells, and with what the browser says of it to its
        developers.
        """
        async with self.tab(lambda tools, session: Page(tools, session, told, html)) as page:
            await page.show(origin)
            yield page

    @asynccontextmanager
    async def tab(self, made: Callable[[DevTools, str], AnyTab]) -> AsyncIterator[AnyTab]:
        """A tab until the block ends, which shares nothing with others, as another user's.

        `made` makes it of the tools and of its session; it has shown nothing yet.
        """
        context = (await self._tools.call("Target.createBrowserContext"))["browserContextId"]
        try:
            target = await self._tools.call(
                "Target.createTarget", url="about:blank", browserContextId=context
            )
            attached = await self._tools.call(
                "Target.attachToTarget", targetId=target["targetId"], flatten=True
            )
            tab = made(self._tools, attached["sessionId"])
            try:
                yield tab
            finally:
                await tab.close()
        finally:
            # It closes the page, too.
            await self._tools.call("Target.disposeBrowserContext", browserContextId=context)


@asynccontextmanager
async def browser(program: str, log: Path) -> AsyncIterator[Browser]:
    """Chromium's `program`, until the block ends; what it prints goes into the file `log`."""
    with tempfile.TemporaryDirectory(prefix="unring-", ignore_cleanup_errors=True) as profile:
        command = (program, *_OPTIONS, f"--user-data-dir={profile}", "about:blank")
        async with child(command, {**os.environ, "HOME": profile}, log) as process:
            url = await _listening(Path(profile) / _PORT_FILE, process, log)
            async with devtools(url) as tools:
                yield Browser(tools)


async def _listening(file: Path, process: asyncio.subprocess.Process, log: Path) -> str:
    """The URL of its DevTools, once it has opened them."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(lines := _lines(file)) < 2:  # it is there before it is written
            assert process.returncode is None, f"Chromium has ended:\n{_lines(log)}"
            await asyncio.sleep(0.02)
    port, path = lines
    return f"ws://127.0.0.1:{port}{path}"


def _lines(file: Path) -> list[str]:
    return file.read_text(errors="replace").splitlines() if file.exists() else []
