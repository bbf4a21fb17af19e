"""How devices are reached that have no socket."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Protocol

from functions.calls.event import CallEvent, Recipient
from functions.clients.device import Device


class Outcome(Enum):
    """What became of one message to a device."""

    SENT = auto()
    DEAD = auto()  # the token reaches nobody any more
    REFUSED = auto()  # this message will never be taken
    FAILED = auto()  # trying again may help


@dataclass(frozen=True, slots=True)
class Sent:
    device: Device
    outcome: Outcome
    error: str | None = None  # the service's name for it


class PushSender(Protocol):
    """Sends data messages to devices."""

    async def send(
        self, event: CallEvent, recipient: Recipient, device: Device, now: datetime
    ) -> Sent: ...

    async def warm_up(self) -> None: ...
