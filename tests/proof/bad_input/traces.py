"""What bad input may leave: nothing in Firestore, and in the logs lines of JSON that say why."""

import asyncio
import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

from google.cloud.firestore import AsyncClient

from functions.settings import FUNCTIONS
from tests.proof.bad_input.case import traces_of
from tests.support.collections import BIRTHS, CONNECTIONS

Document = tuple[object, dict[str, Any]]  # update time and fields
Documents = dict[str, Document]
# The paths of connections that may have been opened for one input, and ended: whose they may be.
Passed = dict[str, str | None]

_LOOKS_SECONDS = 0.5
_PATIENCE_SECONDS = 20.0
_TRACE = re.compile(r"|projects/[a-z0-9-]+/traces/[0-9a-f]{32}")
# How an error begins when Firestore has not answered within the two seconds that it is given, which
# may be too little on a busy machine.
_TOO_SLOW = "DeadlineExceeded:"
_UNAVAILABLE = "functions.services.remote.StoreUnavailable: "
# Ids may be logged, whoever made them up.
_IDS = ("callId", "signalId", "connectionId")


async def documents_of(client: AsyncClient) -> Documents:
    """All documents of all collections: path, update time and fields. Not the notes that a call was
    cancelled which is not there: each cancel that finds none leaves one, for a minute."""
    return {
        snapshot.reference.path: (snapshot.update_time, snapshot.to_dict() or {})
        async for collection in client.collections()
        async for snapshot in collection.stream()
        if collection.id != BIRTHS or not _is_forestall(snapshot.to_dict() or {})
    }


async def changes_since(
    client: AsyncClient, before: Documents, passed: Passed, logs: "Logs"
) -> list[str]:
    """A sentence for each document that is not as before, once what has to end had its time.

    A connection of `passed` may have left a document, if that says that it has ended; and so may
    one of which the logs say that Firestore did not take its beginning or its end in time.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while changes(before, await documents_of(client), passed):  # noqa: ASYNC110 - tells nobody
                await asyncio.sleep(_LOOKS_SECONDS)
    after = await documents_of(client)
    if changes(before, after, passed):
        for path in await asyncio.to_thread(logs.unfinished) - before.keys():
            after.pop(path, None)
    return changes(before, after, passed)


def changes(before: Documents, after: Documents, passed: Passed) -> list[str]:
    """A sentence for each document that is not as before; see `changes_since`."""
    kept = before.keys() & after.keys()
    ended = {path for path in passed.keys() & after.keys() if _is_end(after[path], passed[path])}
    # A CONNECT that is refused ends a session, also one that has not begun.
    refused = {path for path in ended if passed[path] is None}
    return [
        *(f"{path} vanished" for path in before.keys() - kept),
        *(f"{path} appeared: {after[path][1]}" for path in after.keys() - kept - ended),
        *(f"{path} changed" for path in kept - refused if before[path] != after[path]),
    ]


def _is_forestall(fields: dict[str, Any]) -> bool:
    return fields.keys() == {"isCancelled", "expiresAt"} and fields["isCancelled"] is True


def _is_end(document: Document, user: str | None) -> bool:
    """Whether a connection's document says that it is closed, and nobody's or `user`'s."""
    _, fields = document
    return "closedAt" in fields and fields.get("userId") in (None, user)


class Tail:
    """What one function logs from now on, to be asked for again and again."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("rb")
        self._file.seek(0, os.SEEK_END)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def messages(self) -> list[str]:
        """Those of the lines since the last time."""
        return [str(_entry(line).get("message")) for line in _lines(self._file)]


class Logs:
    """What the functions have logged since this was made."""

    def __init__(self, folder: Path) -> None:
        files = {name: folder / f"{name}.log" for name in FUNCTIONS}
        # `webhook` runs only where somebody is to be told.
        self._files = {name: file for name, file in files.items() if file.exists()}
        self._starts = {name: file.stat().st_size for name, file in self._files.items()}

    def tail(self, function: str) -> Tail:
        return Tail(self._files[function])

    def lines(self, function: str) -> list[str]:
        with self._files[function].open("rb") as file:
            file.seek(self._starts[function])
            return _lines(file)

    def unfinished(self) -> set[str]:
        """The paths of connections whose beginning or end Firestore did not take in time."""
        entries = [_entry(line) for line in self.lines("gateway") if _TOO_SLOW in line]
        return {
            f"{CONNECTIONS}/{entry.get('connectionId')}"
            for entry in entries
            if entry.get("message") in ("connect", "disconnect") and _is_too_slow(entry)
        }

    def offences(self, marker: str) -> list[tuple[str, int]]:
        """A sentence for each kind of line that should not be there, and how many there are."""
        traces = traces_of(marker)
        found: list[tuple[str, int]] = []
        for function in self._files:
            offending: dict[str, list[str]] = {}
            for line in self.lines(function):
                if wrong := _wrong_with(line, traces):
                    offending.setdefault(wrong, []).append(line)
            for wrong, lines in offending.items():
                found.append((f"{function} logs {wrong}, first {lines[0]!r:.600}", len(lines)))
        return found


def _wrong_with(line: str, traces: list[str]) -> str | None:
    entry = _entry(line)
    if ("Traceback" in line or "exception" in entry) and not _is_too_slow(entry):
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


def _is_too_slow(entry: dict[str, Any]) -> bool:
    """Whether it tells of a call that took Firestore too long, which no input can make it do."""
    *_, reason = str(entry.get("exception", entry.get("error", ""))).splitlines() or [""]
    return reason.removeprefix(_UNAVAILABLE).startswith(_TOO_SLOW)


def _lines(file: BinaryIO) -> list[str]:
    """The whole lines from where `file` is; one that is being written is left for the next time."""
    text, end, rest = file.read().rpartition(b"\n")
    file.seek(-len(rest), os.SEEK_CUR)
    # Not splitlines: what a JSON string may hold as it is would end a line there.
    return [line for line in (text + end).decode(errors="replace").split("\n") if line]


def _entry(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
