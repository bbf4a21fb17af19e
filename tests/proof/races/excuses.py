"""What the functions' own logs say of a call whose event came twice."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_NOT_ASKED = "catch-up not asked for"
_CLOSED = "disconnect"
_OVER = ("no longer true", "ringing")


def is_excused(logs: Path, call: str, unserved: int = 0) -> bool:
    """Whether an event of `call` may have come more than once, as after every fault.

    On a busy machine Firestore may not answer in time when it is told who has the event, or a
    socket not in the time that `gateway` has for it; then the event is delivered again. So many
    sockets are `unserved` on purpose.
    """
    return any(_is_fault(line, unserved) for line in _lines(logs, call))


def was_over_before_it_rang(logs: Path, call: str) -> bool:
    """Whether the ring of `call` was over when `push` came to it: then no phone must be woken."""
    lines = _lines(logs, call, "push.log")
    return any((each["message"], each.get("status")) == _OVER for each in lines)


def attempts(logs: Path, call: str) -> int:
    """How often `deliver` and `push` have told an event of `call`, or tried to.

    On a busy machine that is more often than faults alone make it: FCM or a socket was not heard in
    time, or `sweep` took what was still in retry for something a crash has left.
    """
    return sum(line["message"] in ("delivered", "pushed") for line in _lines(logs, call))


def is_catching_up_excused(logs: Path, times: int = 1) -> bool:
    """Whether Pub/Sub did not take the wish of so many connections to be told what they have
    missed."""
    return (logs / "gateway.log").read_text(errors="replace").count(_NOT_ASKED) >= times


def is_leaving_excused(logs: Path, times: int) -> bool:
    """Whether so many sockets have closed that nobody could note: to those, `deliver` goes on
    posting."""
    lines = (logs / "gateway.log").read_text(errors="replace").splitlines()
    found = [json.loads(line) for line in lines if _CLOSED in line and line.startswith("{")]
    said = [(each["message"], each["severity"]) for each in found]
    return said.count((_CLOSED, "ERROR")) >= times


def _is_fault(line: dict[str, Any], on_purpose: int) -> bool:
    match line:
        case {"message": "will be retried", "error": str(error)}:
            return error.startswith("StoreUnavailable")
        case {"message": "frame failed"}:
            return True  # its sender has said it again
        case {"message": "ring overtook its end"}:
            return True  # who had that before the ring must be told it once more
        case {"message": "told", "unserved": int(unserved)}:
            return unserved > on_purpose
        case _:
            return False


def _lines(logs: Path, call: str, name: str = "*.log") -> Iterator[dict[str, Any]]:
    for log in logs.glob(name):
        for line in log.read_text(errors="replace").splitlines():
            if call in line and line.startswith("{"):
                fields = json.loads(line)
                if fields.get("callId") == call:
                    yield fields
