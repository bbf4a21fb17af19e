"""A page that a server has, as its user meets it: things have roles and names."""

import asyncio
import base64
from pathlib import Path
from typing import Any

from tests.support.browser import Tab
from tests.support.pace import PATIENCE_SECONDS

Named = tuple[str, str]  # a role and an accessible name: ("button", "Call")

# Before the page's own scripts: counts what changes, so that no change is missed between two looks.
_WATCH = """
  window.changes = 0;
  window.watchers = new Set();
  new MutationObserver(() => {
    window.changes += 1;
    for (const watcher of window.watchers) watcher();
  }).observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
"""
_NEXT_CHANGE = """
  new Promise((resolve) => {
    const look = () => {
      if (window.changes > %d) { window.watchers.delete(look); resolve(); }
    };
    window.watchers.add(look);
    look();
  })
"""
# At once, as the page may move meanwhile. A button's parts lie above it.
_CLICK = """function() {
  this.scrollIntoView({block: "center", behavior: "instant"});
  const {x, y, width, height} = this.getBoundingClientRect();
  if (!this.contains(document.elementFromPoint(x + width / 2, y + height / 2))) return false;
  this.focus();
  this.click();
  return true;
}"""
_SEES = """function(text) {
  const {x, y, width, height} = this.getBoundingClientRect();
  const above = document.elementFromPoint(x + width / 2, y + height / 2);
  return this.innerText.includes(text) && this.contains(above);
}"""
# The text that each types, and its code.
_KEYS = {"Enter": ("\r", 13), "Tab": ("", 9), " ": (" ", 32)}


class Site(Tab):
    """What is named is waited for: a test says what comes, not when."""

    async def show(self, url: str) -> None:
        await self._call("Page.enable")
        await self._call("Page.addScriptToEvaluateOnNewDocument", source=_WATCH)
        await super().show(url)

    async def looks(self, *, width: int = 1440, height: int = 900, dark: bool = False) -> None:
        """How large the window is, in CSS pixels, and which colours the system has. Nothing moves
        by itself and no scrollbar is drawn, so that what is seen is what stays."""
        await self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        await self._call("Emulation.setScrollbarsHidden", hidden=True)
        media = {
            "prefers-color-scheme": "dark" if dark else "light",
            "prefers-reduced-motion": "reduce",
        }
        features = [{"name": name, "value": value} for name, value in media.items()]
        await self._call("Emulation.setEmulatedMedia", features=features)

    async def value(self, expression: str) -> Any:
        """What an expression of JavaScript gives, or what it promises; JSON can have it."""
        result = await self._call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Waits until an expression is truthy, which is looked at after each change of the page;
        gives what it is then."""

        async def look() -> Any:
            return await self.value(expression)

        return await self._until(look, expression)

    async def text(self, within: Named) -> str:
        """All that is written in a thing."""
        return str(await self._on(await self.find(within), "function() { return this.innerText }"))

    async def says(self, text: str, within: Named) -> None:
        """Waits until `text` is written in a thing."""

        async def look() -> bool:
            return text in await self.text(within)

        await self._until(look, f"{text!r} in {within}")

    async def sees(self, text: str, what: Named) -> None:
        """Waits until `text` is written in a thing that nothing covers: not only in the page, but
        before one's eyes."""
        await self.until_on(what, _SEES, text)

    async def until_on(self, what: Named, function: str, *arguments: object) -> Any:
        """Waits until a function of JavaScript, whose `this` is a thing, gives something truthy."""

        async def look() -> Any:
            return await self._on(await self.find(what), function, *arguments)

        return await self._until(look, f"{what} for which {function} holds of {arguments}")

    async def click(self, what: Named, within: Named | None = None) -> None:
        """Clicks in its middle, as soon as it is there, can be pressed and nothing covers it."""

        async def look() -> bool:
            object = await self._find(what, within, is_enabled=True)
            return object is not None and bool(await self._on(object, _CLICK))

        await self._until(look, f"{what} to click in {within or 'the page'}")

    async def fill(self, what: Named, text: str, within: Named | None = None) -> None:
        """Types `text` into a field in the place of what is there, and leaves it by Enter."""
        await self.focus(what, within)
        await self.value("document.activeElement.select()")
        await self._call("Input.insertText", text=text)
        await self.press("Enter")

    async def focus(self, what: Named, within: Named | None = None) -> None:
        object = await self.find(what, within, is_enabled=True)
        await self._on(object, "function() { this.focus() }")

    async def press(self, key: str) -> None:
        """Presses a key, by the name that JavaScript has for it."""
        text, code = _KEYS[key]
        for type in ("keyDown", "keyUp"):
            await self._call(
                "Input.dispatchKeyEvent",
                type=type,
                key=key,
                code="Space" if key == " " else key,
                windowsVirtualKeyCode=code,
                **({"text": text} if text and type == "keyDown" else {}),
            )

    async def find(
        self, what: Named, within: Named | None = None, *, is_enabled: bool = False
    ) -> str:
        """Waits for the first thing of that role and name; gives its id as an object."""

        async def look() -> str | None:
            return await self._find(what, within, is_enabled)

        return str(await self._until(look, f"{what} in {within or 'the page'}"))

    async def picture(self, file: Path, *, clip: Named | None = None) -> None:
        """Writes a picture of the window, or of one thing in it, as the name's ending says."""
        parameters: dict[str, object] = {"format": file.suffix.removeprefix(".")}
        if clip:
            box = """function() {
              const {x, y, width, height} = this.getBoundingClientRect();
              return {x: x + scrollX, y: y + scrollY, width, height, scale: 1};
            }"""
            parameters |= {"clip": await self._on(await self.find(clip), box)}
            parameters |= {"captureBeyondViewport": True}
        shot = await self._call("Page.captureScreenshot", **parameters)
        await asyncio.to_thread(file.write_bytes, base64.b64decode(shot["data"]))

    async def allow(self, *permissions: str) -> None:
        """Grants what a user would be asked for."""
        origin = await self.value("location.origin")
        target = await self._call("Target.getTargetInfo")
        await self._tools.call(
            "Browser.grantPermissions",
            permissions=permissions,
            origin=origin,
            browserContextId=target["targetInfo"]["browserContextId"],
        )

    async def _find(self, what: Named, within: Named | None, is_enabled: bool) -> str | None:
        root = await self._find(within, None, False) if within else await self._document()
        if root is None:
            return None
        role, name = what
        found = await self._call(
            "Accessibility.queryAXTree", objectId=root, role=role, accessibleName=name
        )
        for node in found["nodes"]:
            if node["ignored"] or (is_enabled and _is_disabled(node)):
                continue
            resolved = await self._call("DOM.resolveNode", backendNodeId=node["backendDOMNodeId"])
            return str(resolved["object"]["objectId"])
        return None

    async def _document(self) -> str:
        got = await self._call("Runtime.evaluate", expression="document")
        return str(got["result"]["objectId"])

    async def _on(self, object: str, function: str, *arguments: object) -> Any:
        """What a function gives whose `this` is an object."""
        result = await self._call(
            "Runtime.callFunctionOn",
            objectId=object,
            functionDeclaration=function,
            arguments=[{"value": each} for each in arguments],
            returnByValue=True,
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    async def _until(self, look: Any, what: str) -> Any:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    seen = await self.value("window.changes")
                    if found := await look():
                        return found
                    await self.value(_NEXT_CHANGE % seen)
        except TimeoutError as error:
            page = await self.value("document.body.innerText")
            raise AssertionError(f"there is no {what}; the page:\n{page}") from error


def _is_disabled(node: dict[str, Any]) -> bool:
    properties = {each["name"]: each["value"].get("value") for each in node.get("properties", [])}
    return bool(properties.get("disabled"))
