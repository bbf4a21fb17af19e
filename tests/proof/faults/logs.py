"""What the functions' logs say of all that was done to them."""

import asyncio
import json
from collections.abc import Collection
from typing import Any

from infra.local.stack import Stack
from tests.proof.table import Row

_UNEXPECTED = ("Traceback", '"exception"')
_POLL_SECONDS = 0.02
_PATIENCE_SECONDS = 60.0


def tracebacks(stack: Stack) -> Row:
    """`tried` are the lines of all logs, `wrong` those that show an error nobody expected."""
    row = Row("faults", "lines of the logs, for tracebacks")
    for name in stack.functions:
        for line in (stack.logs / f"{name}.log").read_text(errors="replace").splitlines():
            row.tried += 1
            if any(sign in line for sign in _UNEXPECTED):
                row.findings.append(f"{name}: {line[:300]}")
    row.wrong = len(row.findings)
    return row


class Tail:
    """What one function logs from now on `about` calls and connections, of which it has the ids; or
    about all that there are."""

    def __init__(self, stack: Stack, function: str, *about: str) -> None:
        self._path = stack.logs / f"{function}.log"
        self._about = about
        self._read = self._path.stat().st_size
        self._lines: list[dict[str, Any]] = []

    def said(self, message: str, ids: Collection[str]) -> bool:
        """Whether a line has said `message` of one of these connections."""
        self._take_lines()
        lines = [line for line in self._lines if line["message"] == message]
        return any(line.get("connectionId") in ids for line in lines)

    def has(self, message: str) -> bool:
        """Whether any line has said `message`."""
        self._take_lines()
        return any(line["message"] == message for line in self._lines)

    async def until(self, message: str) -> dict[str, Any]:
        """Waits for the first line that says `message`. Raises TimeoutError."""
        now = asyncio.get_running_loop().time
        deadline = now() + _PATIENCE_SECONDS
        while now() < deadline:
            self._take_lines()
            for line in self._lines:
                if line["message"] == message:
                    return line
            await asyncio.sleep(_POLL_SECONDS)  # a file tells nobody when it grows
        raise TimeoutError(f"no {message!r} of {self._about}, but {self._lines}")

    def _take_lines(self) -> None:
        with self._path.open("rb") as log:
            log.seek(self._read)
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            if line.startswith("{") and (not self._about or any(id in line for id in self._about)):
                self._lines.append(json.loads(line))
