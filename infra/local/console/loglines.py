"""What a function has logged while a call went on."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from infra.local.console.mentions import mentions
from infra.local.console.parsing import parsed
from infra.local.console.redaction import redacted

_READ_BYTES = 2_000_000  # of the end of a file
_LINES_LIMIT = 50


def lines_about(
    log: Path, names: Iterable[str], began: float, ended: float | None
) -> list[dict[str, Any]]:
    """The JSON lines of a function's `log` between two times, in seconds since 1970, that have one
    of `names`."""
    sought = list(names)
    found = []
    for line in _last_lines(log):
        if not any(mentions(line, name) for name in sought):  # which takes less than to parse it
            continue
        said = _parsed(line)
        at = _time(said) if said else None
        if at is not None and began <= at and (ended is None or at <= ended):
            found.append(parsed(redacted(line)))
    return found[-_LINES_LIMIT:]


def _last_lines(log: Path) -> Iterator[str]:
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _READ_BYTES))
            return iter(file.read().decode(errors="replace").splitlines())
    except FileNotFoundError:
        return iter(())


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        said = parsed(line)
    except (ValueError, RecursionError):  # what a library printed, or half of a line
        return None
    return said if isinstance(said, dict) else None


def _time(said: dict[str, Any]) -> float | None:
    try:
        return datetime.fromisoformat(str(said.get("time"))).timestamp()
    except ValueError:
        return None
