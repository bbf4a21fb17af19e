"""The console's page in a browser, with its phones, as somebody meets it who looks and clicks."""

import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from infra.local.stack import Stack
from tests.support.browser import Browser
from tests.support.site import Named, Site

CALLER: Named = ("article", "Caller's phone")
RECEIVER: Named = ("article", "Receiver's phone")
SECOND: Named = ("article", "Receiver's second device")
TRACES: Named = ("region", "Traces")
TRACE: Named = ("group", "The trace that is shown")
FAULTS: Named = ("region", "Faults")
CALLS: Named = ("list", "calls, latest first")
CONNECTIONS: Named = ("list", "connections, latest first")
DEVICES: Named = ("list", "devices, latest first")
OUTBOX: Named = ("list", "outbox, latest first")

JSON, SOCKET_IO = "JSON", "Socket.IO"

# Whether a phone shows that it heard something, as [channel, title, effect].
_HEARD = """function(channel, title, effect) {
  const wanted = [channel, title, effect];
  return [...this.querySelectorAll("li")].some((entry) => {
    const [by, what, , does] = [...entry.children].map((part) => part.textContent);
    return by === channel && what === title && does.includes(effect);
  });
}"""
# Whether a phone shows that it is registered since it was connected as `how` says; newest first.
_IS_REGISTERED = """function(how) {
  const entries = [...this.querySelectorAll("li")].map(({children}) =>
    [children[1].textContent, children[3].textContent]);
  const connected = entries.findIndex(([title, effect]) =>
    title === "connected" && effect.includes(how));
  return entries.slice(0, Math.max(connected, 0)).some(([title, effect]) =>
    title === "device:register" && effect === "registered");
}"""
# Whether these buttons of a call, and no others, can be pressed.
_CAN = """function(...wanted) {
  const all = this.querySelectorAll("[aria-label='The call'] button");
  const buttons = [...all].filter((button) => !button.hasAttribute("aria-disabled"));
  return buttons.map((button) => button.textContent).join() === wanted.join();
}"""

# Of each call of the trace that is shown [kind, function, outcome], once there are so many and none
# runs any more.
_TRACE = """function(title, least) {
  const rows = [...this.querySelectorAll("tbody tr:not(.detail)")];
  const facts = ({dataset, children}) =>
    [dataset.kind, children[1].textContent, dataset.outcome];
  const shown = rows.map(facts);
  const isWhole = least <= rows.length && shown.every(([, , outcome]) => outcome !== "running");
  return this.querySelector("h3").textContent === title && isWhole ? shown : null;
}"""
# Whether the outbox shows so many entries of a call, and each is done.
_IS_TOLD = """function(call, events) {
  const all = [...this.querySelectorAll("summary")];
  const entries = all.filter(({textContent}) => textContent.startsWith(call));
  const isDone = (entry) => entry.querySelector(".state").textContent === "done";
  return entries.length === events && entries.every(isDone);
}"""
_IS_ON = "function(wanted) { return this.getAttribute('aria-checked') === wanted }"


class Desk:
    """Somebody before the page: two users that no other test knows, on two phones."""

    def __init__(self, site: Site, stack: Stack, told: list[str]) -> None:
        unique = uuid.uuid4().hex[:6]
        self.site = site
        self.stack = stack
        self.caller, self.receiver = f"alice-{unique}", f"bob-{unique}"
        self.told = told  # what the browser has said to its developers

    async def sit_down(self, url: str, wire: str = JSON) -> None:
        await self.site.looks()
        await self.site.show(f"{url}/?caller={self.caller}&receiver={self.receiver}")
        for phone, user in ((CALLER, self.caller), (RECEIVER, self.receiver)):
            if wire != JSON:
                await self.site.click(("radio", wire), phone)
            await self.is_connected(phone, f"{wire} as {user}")

    async def is_connected(self, phone: Named, how: str = "") -> None:
        """Waits until the phone's app has its line, and FCM knows the phone."""
        await self.site.until_on(phone, _IS_REGISTERED, how)
        await self.shows(phone, "connected")

    def complaints(self) -> list[str]:
        """What the browser has said to its developers, but for sockets that came to nothing."""
        return [text for text in self.told if not text.startswith("WebSocket connection to")]

    async def presses(self, phone: Named, button: str) -> None:
        await self.site.click(("button", button), phone)

    async def shows(self, phone: Named, text: str) -> None:
        """Waits until the phone shows `text`."""
        await self.site.says(text, phone)

    async def hears(self, phone: Named, channel: str, title: str, effect: str = "") -> None:
        """Waits until the phone has heard something by a channel, with what came of it."""
        await self.site.until_on(phone, _HEARD, channel, title, effect)

    async def can(self, phone: Named, *buttons: str) -> None:
        """Waits until these buttons of the call, and no others, can be pressed."""
        await self.site.until_on(phone, _CAN, *buttons)

    async def calls(self) -> str:
        """The caller calls, and it rings; gives the call's id."""
        await self.presses(CALLER, "Call")
        await self.hears(CALLER, "Sent", "call:initiate", "ringing")
        found = re.search(r"CALL_\w+", await self.site.text(CALLER))
        assert found
        return found[0]

    async def is_told(self, call: str, events: int) -> None:
        """Waits until so many events of a call have come to all whom they are for."""
        await self.site.until_on(OUTBOX, _IS_TOLD, call, events)

    async def calls_and_it_rings(self) -> str:
        call = await self.calls()
        await self.shows(RECEIVER, "Incoming call")
        await self.hears(RECEIVER, "FCM", "incoming_call")
        return call

    async def shows_the_trace(self, title: str, least: int = 1) -> list[tuple[str, str, str]]:
        """Waits until this trace is shown, with so many calls, all of which have ended; gives of
        each its kind, its function and its outcome."""
        shown = await self.site.until_on(TRACE, _TRACE, title, least)
        return [(kind, function, outcome) for kind, function, outcome in shown]

    @asynccontextmanager
    async def broken(self, label: str) -> AsyncIterator[None]:
        """Something is broken by its switch until the block ends, however it does."""
        switch = ("switch", label)
        await self.site.click(switch, FAULTS)
        try:
            await self.site.until_on(switch, _IS_ON, "true")
            yield
        finally:
            await self.site.click(switch, FAULTS)
            await self.site.until_on(switch, _IS_ON, "false")

    async def document(self, call: str) -> dict[str, Any]:
        """The call as Firestore has it."""
        from infra.client.calls import client_at

        documents = client_at(self.stack.firestore, self.stack.project)
        snapshot = await documents.collection("calls").document(call).get()
        return snapshot.to_dict() or {}


@asynccontextmanager
async def desk(browser: Browser, stack: Stack) -> AsyncIterator[Desk]:
    """The page has shown nothing yet. What it or the browser complains of fails the test."""
    told: list[str] = []
    async with browser.tab(lambda tools, session: Site(tools, session, told.append)) as site:
        yield Desk(site, stack, told)
