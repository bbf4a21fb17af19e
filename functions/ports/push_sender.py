"""The port to the push service, which reaches devices with and without a socket."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Protocol

from functions.calls.event import CallEvent, Recipient
from functions.clients.device import Device


class PushOutcome(Enum):
    """What became of one message to a device."""

    SENT = auto()
    DEAD = auto()  # the token reaches nobody any more
    REFUSED = auto()  # the service will never take this message
    FAILED = auto()  # trying again may help


@dataclass(frozen=True, slots=True)
class PushResult:
    """What became of the message to `device`."""

    device: Device
    outcome: PushOutcome
    error: str | None = None  # the service's name for what went wrong


class PushSender(Protocol):
    """Sends data messages to devices.

    `send` sends `event` to one device of `recipient`; a failure is an outcome, not an error. At
    `now` the message's time to live begins. A ring has a `ring_token`, if there are any. `warm_up`
    opens the connection that the first message would have to wait for.
    """

    async def send(
        self,
        event: CallEvent,
        recipient: Recipient,
        device: Device,
        now: datetime,
        ring_token: str | None = None,
    ) -> PushResult: ...

    async def warm_up(self) -> None: ...
