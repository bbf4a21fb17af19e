"""What phones were pushed, as FCM has seen it."""

from typing import Any

from infra.local.console.kinds import SEND
from infra.local.console.observed import Observed
from infra.local.console.parsing import parsed

_ONLY_VALIDATED = "fake_message_id"  # what FCM answers to whoever only asks whether it would send


def push_in(observed: Observed) -> dict[str, Any] | None:
    """The push of a call that FCM has accepted, as the page has it."""
    if observed.call != SEND or not _is_done(observed) or _ONLY_VALIDATED in observed.response:
        return None
    message = parsed(observed.request)
    data = message.get("data", {})
    device = message.get("token") or message.get("fid")
    return {"device": device, "type": data.get("type"), "data": data, "at": _at(observed)}


def _is_done(observed: Observed) -> bool:
    return observed.ended is not None and not observed.is_failed


def _at(observed: Observed) -> int:
    return round((observed.ended or observed.began) * 1000)
