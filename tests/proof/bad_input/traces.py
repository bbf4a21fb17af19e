"""What bad input may leave: nothing in Firestore, and in the logs lines of JSON that say why."""

import asyncio
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from google.cloud.firestore import AsyncClient

from functions.settings import FUNCTIONS
from tests.proof.bad_input.case import traces_of

Documents = dict[str, tuple[object, dict[str, Any]]]

_LOOKS_SECONDS = 0.5
_PATIENCE_SECONDS = 20.0
_TRACE = re.compile(r"|projects/[a-z0-9-]+/traces/[0-9a-f]{32}")
# Ids may be logged, whoever made them up.
_IDS = ("callId", "signalId", "connectionId")


async def documents_of(client: AsyncClient) -> Documents:
    """All documents of all collections: path, update time and fields."""
    return {
        snapshot.reference.path: (snapshot.update_time, snapshot.to_dict() or {})
        async for collection in client.collections()
        async for snapshot in collection.stream()
    }


async def settled(client: AsyncClient) -> Documents:
    """The documents once nothing changes them any more: others' sockets may still be closing."""
    found = await documents_of(client)
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            await asyncio.sleep(_LOOKS_SECONDS)
            again = await documents_of(client)
            if again == found:
                return found
            found = again


async def changes_since(client: AsyncClient, before: Documents) -> list[str]:
    """A sentence for each document that is not as before, once what has to vanish had its time."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while (after := await documents_of(client)) != before:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(_LOOKS_SECONDS)
    except TimeoutError:
        after = await documents_of(client)
    kept = before.keys() & after.keys()
    return [
        *(f"{path} vanished" for path in before.keys() - kept),
        *(f"{path} appeared" for path in after.keys() - kept),
        *(f"{path} changed" for path in kept if before[path] != after[path]),
    ]


class Logs:
    """What the functions have logged since this was made."""

    def __init__(self, folder: Path) -> None:
        self._files = {name: folder / f"{name}.log" for name in FUNCTIONS}
        self._starts = {name: file.stat().st_size for name, file in self._files.items()}

    def lines(self, function: str) -> list[str]:
        with self._files[function].open("rb") as file:
            file.seek(self._starts[function])
            text = file.read().decode(errors="replace")
        # Not splitlines: what a JSON string may hold as it is would end a line there.
        return [line for line in text.split("\n") if line]

    def messages(self, function: str) -> Counter[str]:
        """How many lines have which message."""
        return Counter(str(_entry(line).get("message")) for line in self.lines(function))

    def offences(self, marker: str) -> list[tuple[str, int]]:
        """A sentence for each kind of line that should not be there, and how many there are."""
        traces = traces_of(marker)
        found: list[tuple[str, int]] = []
        for function in FUNCTIONS:
            offending: dict[str, list[str]] = {}
            for line in self.lines(function):
                if wrong := _wrong_with(line, traces):
                    offending.setdefault(wrong, []).append(line)
            for wrong, lines in offending.items():
                found.append((f"{function} logs {wrong}, first {lines[0]!r:.600}", len(lines)))
        return found


def _wrong_with(line: str, traces: list[str]) -> str | None:
    entry = _entry(line)
    if "Traceback" in line or "exception" in entry:
        return "a traceback"
    if not {"severity", "message", "time"} <= entry.keys():
        return "what is no line of JSON"
    if entry["message"] == "malformed delivery" and not entry.get("error"):
        return "a delivery without saying why it can't be read"
    if not _TRACE.fullmatch(str(entry.get("logging.googleapis.com/trace", ""))):
        return "a trace that is none"
    told = json.dumps({name: value for name, value in entry.items() if name not in _IDS})
    if any(trace in told for trace in traces):
        return "what a client wrote"
    return None


def _entry(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
