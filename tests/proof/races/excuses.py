"""What the functions' own logs say of a call whose event came twice."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def is_excused(logs: Path, call: str) -> bool:
    """Whether an event of `call` may have come more than once, as after every fault.

    On a busy machine Firestore may not answer in time when it is told who has the event, or a
    socket not in the time that `gateway` has for it; then the event is delivered again.
    """
    return any(map(_is_fault, _lines(logs, call)))


def _is_fault(line: dict[str, Any]) -> bool:
    match line:
        case {"message": "will be retried", "error": str(error)}:
            return error.startswith("StoreUnavailable")
        case {"message": "told", "unserved": int(unserved)}:
            return unserved > 0
        case _:
            return False


def _lines(logs: Path, call: str) -> Iterator[dict[str, Any]]:
    for log in logs.glob("*.log"):
        for line in log.read_text(errors="replace").splitlines():
            if call in line and line.startswith("{"):
                fields = json.loads(line)
                if fields.get("callId") == call:
                    yield fields
